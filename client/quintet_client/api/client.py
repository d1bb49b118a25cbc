"""`QuintetClient`: images in, typed results or typed errors out. For other services; needs no torch."""

from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from quintet_client.api.page_reader import (
    DEFAULT_GIVE_UP_S,
    DEFAULT_IN_FLIGHT,
    DEFAULT_PACK,
    DEFAULT_RETRIES,
    Image,
    PageReader,
    check_room,
)
from quintet_client.api.page_stream import Key
from quintet_client.api.results import PageResult
from quintet_client.cancellation import Cancellation
from quintet_client.errors import PageError
from quintet_client.run.settings import DEFAULT_SERVER, DEFAULT_TIMEOUT_S


class QuintetClient:
    """Reads pages through a Quintet service; safe to share between threads. Use it with `with`, or close it."""

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        token_file: Path | str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
        give_up_s: float = DEFAULT_GIVE_UP_S,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            server: base URL of the inference address.
            token_file: plain token or TorchServe's key_file.json; None sends no token.
            timeout_s: longest silence of the server within one request.
            retries: tries a page has before a fault of its own is its error.
            give_up_s: longest time without reaching the server.

        Raises:
            UsageError: the URL is none, the token file holds no token, or a number is out of range.
        """
        self._reader = PageReader(server, token_file, timeout_s=timeout_s, retries=retries, give_up_s=give_up_s)

    def read(self, image: Image) -> PageResult:
        """Read one page.

        Args:
            image: one encoded image (JPEG, PNG, TIFF, WebP or BMP), or the path of its file.

        Raises:
            PageError: this page cannot be read; its `code` says why.
            ServerUnreachableError: the server was not there for `give_up_s`.
            NotAuthorisedError: the server refused the token.
        """
        return self._reader.read(image, Cancellation())

    def read_many(
        self, pages: Iterable[tuple[Key, Image]], *, in_flight: int = DEFAULT_IN_FLIGHT, pack: int = DEFAULT_PACK
    ) -> Generator[tuple[Key, PageResult | PageError], None, None]:
        """Read many pages at once.

        A bad page is a value among the others, its neighbours are read. Pages are taken from the iterable as there is
        room for them, so that it may be endless; closing the generator abandons what has not come.

        Args:
            pages: keys of any kind, and images as for `read`.
            in_flight: most pages under way.
            pack: most pages a request, where the server takes several; a request leaves when it is full.

        Returns:
            Each key with its result or error, in the order they come.

        Raises:
            UsageError: a number is out of range.
            ServerUnreachableError, NotAuthorisedError: as for `read`, while iterating.
        """
        check_room(in_flight, pack)
        return self._each(pages, in_flight, pack)

    def _each(
        self, pages: Iterable[tuple[Key, Image]], in_flight: int, pack: int
    ) -> Generator[tuple[Key, PageResult | PageError], None, None]:
        with closing(self._reader.stream(pages, in_flight, pack)) as stream:
            yield from stream

    def close(self) -> None:
        """Close the connections; answers under way still come."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
