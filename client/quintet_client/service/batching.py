"""Which pages travel together."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

# Half of what the service takes in one request; a larger page travels alone.
MAX_PACK_BYTES = 32 * 1024 * 1024


class Loaded(Protocol):
    """A page whose bytes are at hand."""

    @property
    def body(self) -> bytes:
        """Its bytes; empty if they could not be read."""


Page = TypeVar("Page", bound=Loaded)


def in_packs(pages: Iterable[Page], size: Callable[[], int]) -> Iterator[list[Page]]:
    """Neighbouring pages in packs of at most `size()` pages and `MAX_PACK_BYTES`, all of them once.

    Args:
        pages: in the order they come.
        size: asked for every page: a server may turn out to take one page a request only.
    """
    pack: list[Page] = []
    held = 0
    for page in pages:
        if pack and (len(pack) >= size() or held + len(page.body) > MAX_PACK_BYTES):
            yield pack
            pack, held = [], 0
        pack.append(page)
        held += len(page.body)
        if len(pack) >= size():
            yield pack
            pack, held = [], 0
    if pack:
        yield pack
