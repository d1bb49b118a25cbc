"""Which parts of the buffer are free: lent to the loader, filled, under way, free again. Standard library alone.

A slab is lent to one batch of the loader. It is free again when the last of its pages has its end.
"""

import threading
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from quintet_client.cancellation import Cancellation
from quintet_client.service.page import Extent

# Pages a slab before the first batch has told how large they are.
FIRST_PAGES = 8
# Slabs whose pages wait for answers, while the loader fills others.
UNDER_WAY = 8
_PAGE_BYTES = 4096
_POLL_S = 0.2


class Slab(NamedTuple):
    """A part of the buffer that one batch is decoded into; in bytes."""

    offset: int
    size_bytes: int


class _Use:
    """What holds a slab: pages that nobody has handed to the senders yet, and pages without an end."""

    def __init__(self, pages: int) -> None:
        self.unsent = pages
        self.open = pages


class Slabs:
    """The slabs of one buffer. Safe to share between threads.

    `lend` may wait, in the very thread that feeds the senders. It waits only while all pages of some slab are with the
    senders: those have their end without that thread, so that a slab does come free. Otherwise it lends none, and the
    batch travels as encoded bytes. So nobody waits for ever, however few slabs there are.

    Attributes:
        memory: the whole buffer; the loader's processes have it too.
    """

    def __init__(self, memory: memoryview, loaders: int, cancellation: Cancellation) -> None:
        """Cut the buffer.

        Args:
            memory: the whole buffer.
            loaders: the loader's processes; torch has each work two batches ahead.
            cancellation: ends the waiting.
        """
        count = 2 * loaders + 2 + UNDER_WAY  # ahead, in hand, being packed, under way
        self.memory = memory
        self._size_bytes = len(memory) // count // _PAGE_BYTES * _PAGE_BYTES
        self._free = deque(range(count))
        self._uses: dict[int, _Use] = {}
        self._page_bytes = self._size_bytes // FIRST_PAGES
        self._cancellation = cancellation
        self._closed = False
        self._changed = threading.Condition()

    def pages(self, most: int) -> int:
        """How many of the next pages will fit into a slab if they are as large as the last batch's; 1 to `most`."""
        return min(self._size_bytes // self._page_bytes, most) or most

    def lend(self) -> Slab | None:
        """A slab to fill, or None if the next batch has to do without."""
        with self._changed:
            while not self._free and self._will_come_free() and not self._closed and not self._cancellation.cancelled:
                self._changed.wait(_POLL_S)
            if self._closed or not self._free:
                return None
            return Slab(self._free.popleft() * self._size_bytes, self._size_bytes)

    def filled(self, slab: Slab, extents: Iterable[Extent | None], needed_bytes: int) -> None:
        """Note what became of a slab that was lent.

        Args:
            slab: as lent.
            extents: of its batch's pages; None for those that are not in it.
            needed_bytes: of all its batch's pictures, whether there was room for them or not.
        """
        pages = list(extents)
        laid = sum(extent is not None for extent in pages)
        with self._changed:
            if needed_bytes:
                self._page_bytes = max(1, needed_bytes // len(pages))
            if laid:
                self._uses[slab.offset // self._size_bytes] = _Use(laid)
            else:
                self._free.append(slab.offset // self._size_bytes)

    def sent(self, extent: Extent) -> None:
        """Note that a page is on its way to the senders."""
        with self._changed:
            self._uses[extent.offset // self._size_bytes].unsent -= 1

    def ended(self, extent: Extent) -> None:
        """Note that a page has its end, so that nobody will look at it again."""
        number = extent.offset // self._size_bytes
        with self._changed:
            use = self._uses[number]
            use.open -= 1
            if not use.open:
                del self._uses[number]
                self._free.append(number)
                self._changed.notify_all()

    def close(self) -> None:
        """Lend no more: pages travel as encoded bytes from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _will_come_free(self) -> bool:
        return any(not use.unsent for use in self._uses.values())
