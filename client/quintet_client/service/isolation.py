"""Who may have a request under way: everybody at once, or one suspect alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Isolation:
    """Keeps suspects apart: the server puts requests that are under way together into one batch.

    Suspects come first: while one waits, nobody else sets out.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together = 0
        self._waiting = 0
        self._alone = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Be under way beside others; waits while a suspect is, or wants to be."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self._waiting)
            self._together += 1
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be under way with nobody beside; waits for those who are."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._alone and not self._together)
            self._waiting -= 1
            self._alone = True
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
