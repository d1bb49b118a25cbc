"""The free parts of the buffer: lent to the loader, filled, under way, free again. Standard library alone.

A slab is lent to one batch of the loader. It is free again when the last of its pages is finished.
"""

import threading
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from quintet_client.cancellation import Cancellation
from quintet_client.service.page import Extent

# Pages a slab before the first batch has shown how large they are.
FIRST_PAGES = 8
# Slabs whose pages wait for answers, while the loader fills others.
UNDER_WAY = 8
_PAGE_BYTES = 4096
_POLL_S = 0.2


class Slab(NamedTuple):
    """A part of the buffer that one batch is decoded into; in bytes."""

    offset: int
    size_bytes: int


class Slabs:
    """The slabs of one buffer. Safe to share between threads.

    `lend` may wait, in the very thread that feeds the senders. It waits only while all pages of some slab are with the
    senders: those are finished without that thread, so that a slab does come free. Otherwise it lends none, and the
    batch travels as encoded bytes. So nothing waits for ever, however few slabs there are.
    """

    def __init__(self, memory: memoryview, loaders: int, cancellation: Cancellation) -> None:
        # Ahead (torch has each loader process work two batches ahead), in hand, being packed, under way.
        count = 2 * loaders + 2 + UNDER_WAY
        self.memory = memory  # the whole buffer; the loader's processes have it too
        self._size_bytes = len(memory) // count // _PAGE_BYTES * _PAGE_BYTES
        self._free = deque(range(count))
        self._unsent: dict[int, int] = {}  # pages that the senders do not have yet, by slab
        self._unfinished: dict[int, int] = {}
        self._page_bytes = self._size_bytes // FIRST_PAGES
        self._cancellation = cancellation
        self._closed = False
        self._changed = threading.Condition()

    def pages(self, most: int) -> int:
        """How many of the next pages will fit into a slab if they are as large as the last batch's; 1 to `most`."""
        return min(self._size_bytes // self._page_bytes, most) or most

    def lend(self) -> Slab | None:
        """A slab to fill, or None if the next batch gets none."""
        with self._changed:
            while not (self._free or self._closed or self._cancellation.cancelled) and 0 in self._unsent.values():
                self._changed.wait(_POLL_S)
            if self._closed or not self._free:
                return None
            return Slab(self._free.popleft() * self._size_bytes, self._size_bytes)

    def filled(self, slab: Slab, extents: Sequence[Extent | None], needed_bytes: int) -> None:
        """Note the pages of a lent slab, None for those not in it, and the bytes that they all would need."""
        number, held = slab.offset // self._size_bytes, len(extents) - extents.count(None)
        with self._changed:
            if needed_bytes:
                self._page_bytes = max(1, needed_bytes // len(extents))
            if held:
                self._unsent[number] = self._unfinished[number] = held
            else:
                self._free.append(number)

    def sent(self, extent: Extent) -> None:
        """Note that a page is on its way to the senders."""
        with self._changed:
            self._unsent[extent.offset // self._size_bytes] -= 1

    def ended(self, extent: Extent) -> None:
        """Note that a page is finished, so that its memory is not read again."""
        number = extent.offset // self._size_bytes
        with self._changed:
            self._unfinished[number] -= 1
            if not self._unfinished[number]:
                del self._unsent[number], self._unfinished[number]
                self._free.append(number)
                self._changed.notify_all()

    def close(self) -> None:
        """Lend no more: pages travel as encoded bytes from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
