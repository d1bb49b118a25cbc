"""Many pages at once for other services: images in, ends out as they come, bounded work between the two."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

from quintet_client.api.results import PageResult
from quintet_client.cancellation import Cancellation, Stage
from quintet_client.errors import InterruptedRunError, PageError
from quintet_client.service.batching import MAX_PACK_BYTES, in_packs
from quintet_client.service.transport import Item

# Images held at any time, encoded; a pack more is only taken while there is room for it.
MOST_BYTES_IN_FLIGHT = 8 * MAX_PACK_BYTES

Key = TypeVar("Key")
Image = TypeVar("Image")
PageEnd = PageResult | PageError
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Page(Generic[Key]):
    """One page in hand: its bytes, or why there are none."""

    key: Key
    body: bytes
    error: PageError | None = None


class PageStream(Iterator[tuple[Key, PageEnd]], Generic[Key]):
    """Iterates over keys and ends in the order they come.

    Pages are taken from their source by whoever iterates, while there is room for a pack. One thread iterates; any may
    close.
    """

    def __init__(
        self,
        pages: Iterable[tuple[Key, Image]],
        load: Callable[[Image], bytes],
        deliver_all: Callable[[Sequence[Item]], Iterable[tuple[Item, PageEnd]]],
        *,
        cancellation: Cancellation,
        in_flight: int,
        pack_size: Callable[[], int],
    ) -> None:
        """Start the threads that send.

        Args:
            pages: the caller's keys and images.
            load: the bytes of an image, or raises PageError.
            deliver_all: sees items through to their ends.
            cancellation: makes `deliver_all` abandon what it has.
            in_flight: most pages under way, and threads.
            pack_size: how many pages travel together, as things stand.
        """
        self._halt = cancellation
        self._deliver_all = deliver_all
        self._in_flight = in_flight
        self._pack_size = pack_size
        self._packs = in_packs((_loaded(key, image, load) for key, image in pages), pack_size)
        self._exhausted = False
        self._pages = 0
        self._bytes = 0
        self._ends: SimpleQueue[tuple[_Page[Key], PageEnd] | BaseException | None] = SimpleQueue()
        self._senders: Stage[Sequence[_Page[Key]]] = Stage(
            self._send, threads=in_flight, room=in_flight + 1, cancellation=cancellation, drops_on_cancel=True
        )

    def __next__(self) -> tuple[Key, PageEnd]:
        """Wait for the next page that has its end.

        Raises:
            QuintetError: the server cannot be reached or refuses the token; pages without an end stay so.
        """
        self._fill()
        if not self._pages or self._halt.cancelled:
            self.close()
            raise StopIteration
        came = self._ends.get()
        if came is None:  # closed from another thread
            raise StopIteration
        if isinstance(came, BaseException):
            self.close()
            raise came
        page, end = came
        self._pages -= 1
        self._bytes -= len(page.body)
        return page.key, end

    def close(self) -> None:
        """Stop: send nothing more, wait for nothing. Answers to requests that are under way are dropped."""
        self._halt.cancel(InterruptedRunError("the pages were abandoned"))
        self._senders.dismiss()
        self._ends.put(None)

    def _fill(self) -> None:
        """Send packs while there is room for a whole one."""
        while not self._exhausted and not self._halt.cancelled and self._has_room():
            pack = next(self._packs, None)
            if pack is None:
                self._exhausted = True
                return
            self._pages += len(pack)
            self._bytes += sum(len(page.body) for page in pack)
            self._senders.put(pack)

    def _has_room(self) -> bool:
        within = self._pages + self._pack_size() <= self._in_flight
        return not self._pages or (within and self._bytes + MAX_PACK_BYTES <= MOST_BYTES_IN_FLIGHT)

    def _send(self, pack: Sequence[_Page[Key]]) -> None:
        """Have a pack read; whatever comes of it, and of each page, reaches whoever iterates."""
        try:
            under_way = {str(number): page for number, page in enumerate(pack) if page.error is None}
            for page in pack:
                if page.error is not None:
                    self._ends.put((page, page.error))
            for item, end in self._deliver_all([Item(name, page.body) for name, page in under_way.items()]):
                self._ends.put((under_way[item.page_id], end))
        except BaseException as error:  # noqa: BLE001 - the thread's outermost boundary; raised where the pages are taken
            self._ends.put(error)


def _loaded(key: Key, image: Image, load: Callable[[Image], bytes]) -> _Page[Key]:
    try:
        return _Page(key, load(image))
    except PageError as error:
        return _Page(key, b"", error)
