"""Items that come one by one into parts: a part is committed when it is full, or old."""

import threading
import time
from collections.abc import Callable

from quintet_client.errors import OutputUnwritableError
from quintet_client.output.ledger import Ended, Row
from quintet_client.output.parts.place import PartsPlace, part_name
from quintet_client.output.parts.rows import encode_part

# A kill costs a part at most: what is in none is read again.
MOST_ITEMS = 512
MOST_BYTES = 16 * 1024 * 1024
MOST_S = 60.0
# In the name of a part: written item by item, not block by block.
_WRITER = "r"


class PartWriter:
    """Gathers the ends of items, and commits them; safe to share between threads."""

    def __init__(self, place: PartsPlace, run: int) -> None:
        self._place = place
        self._run = run
        self._lock = threading.Lock()
        self._parts = 0
        self._start()

    def add(self, ended: Ended, then: Callable[[Row], None]) -> None:
        """Take an item; `then` is called with its row when its part is in place, by whoever brought the last of it.

        Raises:
            OutputUnwritableError: a part could not be put in place.
        """
        with self._lock:
            self._items.append((ended, then))
            self._bytes += ended.size_bytes
            full = len(self._items) >= MOST_ITEMS or self._bytes >= MOST_BYTES
            if not full and time.monotonic() < self._old_at:
                return
            name, items = self._taken()
        self._commit(name, items)

    def flush(self) -> None:
        """Commit what is left; raises as `add`."""
        with self._lock:
            name, items = self._taken()
        if items:
            self._commit(name, items)

    def _start(self) -> None:
        self._items: list[tuple[Ended, Callable[[Row], None]]] = []
        self._bytes = 0
        self._old_at = time.monotonic() + MOST_S

    def _taken(self) -> tuple[str, list[tuple[Ended, Callable[[Row], None]]]]:
        items, self._parts = self._items, self._parts + 1
        self._start()
        return part_name(self._run, _WRITER, self._parts), items

    def _commit(self, name: str, items: list[tuple[Ended, Callable[[Row], None]]]) -> None:
        if not self._place.commit(name, encode_part([ended for ended, _then in items]), self._run):
            raise OutputUnwritableError(f"there is a part {name} already, of another client: give another OUTPUT")
        for ended, then in items:
            then(ended.row)
