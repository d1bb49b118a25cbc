"""Bounded stages of threads, and the one switch that ends a run early."""

import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL_S = 0.2
_log = logging.getLogger(__name__)


class Cancellation:
    """Ends a run early: whoever finds a reason pulls it, everybody looks at it; the first cause counts."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.RLock()  # a second signal may come while the first one's handler holds it
        self.cause: BaseException | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the run is to end."""
        return self._event.is_set()

    def cancel(self, cause: BaseException) -> None:
        """End the run for this cause, unless it is ending already."""
        with self._lock:
            self.cause = self.cause or cause
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but not beyond the end of the run; returns whether it is ending."""
        return self._event.wait(seconds)


class Room:
    """Bounds what is under way, in pages and in bytes: whoever brings more waits. Safe to share between threads."""

    def __init__(self, pages: int, size_bytes: int, cancellation: Cancellation) -> None:
        self._most = (pages, size_bytes)
        self._halt = cancellation
        self._changed = threading.Condition()
        self._pages = 0
        self._bytes = 0

    def take(self, pages: int, size_bytes: int) -> bool:
        """Wait for room and take it; what is larger than all there is waits until all is free.

        Returns:
            False if the run is ending instead.
        """
        with self._changed:
            while not self._fits(pages, size_bytes):
                if self._halt.cancelled:
                    return False
                self._changed.wait(_POLL_S)
            self._pages += pages
            self._bytes += size_bytes
        return True

    def give(self, pages: int, size_bytes: int) -> None:
        """Give room back."""
        with self._changed:
            self._pages -= pages
            self._bytes -= size_bytes
            self._changed.notify_all()

    def _fits(self, pages: int, size_bytes: int) -> bool:
        most_pages, most_bytes = self._most
        within = self._pages + pages <= most_pages and self._bytes + size_bytes <= most_bytes
        return within or self._pages == 0


class Stage(Generic[T]):
    """A bounded queue and the threads that work on it: a full queue holds up whoever feeds it.

    A thread is started when there is work and none is idle: a sender keeps a connection, and where many pages travel
    in one request a few of them do all the work.

    An exception in the work pulls the cancellation. A stage that `drops_on_cancel` then lets go of what has not begun; any other
    finishes what it was given.
    """

    def __init__(
        self, work: Callable[[T], None], *, threads: int, room: int, cancellation: Cancellation, drops_on_cancel: bool
    ) -> None:
        """Prepare; no thread is started yet.

        Args:
            work: done with each item.
            threads: most that do it.
            room: most items that wait for a thread; 0 for any number.
            cancellation: ends the work early.
            drops_on_cancel: whether items that wait are then let go of.
        """
        self._work = work
        self._halt = cancellation
        self._drops_on_halt = drops_on_cancel
        self._queue: Queue[T | None] = Queue(maxsize=room)
        self._most = threads
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)  # one for each thread that has found the queue empty

    def put(self, item: T) -> bool:
        """Hand over an item, waiting for room; returns False if it was dropped because the run is ending."""
        while not self._offer(item, _POLL_S):
            if self._drops_on_halt and self._halt.cancelled:
                return False
        self._see_to_it()
        return True

    def finish(self, grace_s: float) -> bool:
        """Wait until all that was handed over is done, but only so long once the run is ending.

        Returns:
            True if every thread has ended.
        """
        told = False
        ends_at: float | None = None
        while alive := [thread for thread in self._threads if thread.is_alive()]:
            told = told or self._offer(None, _POLL_S)
            alive[0].join(_POLL_S if told else 0)
            if self._halt.cancelled:
                ends_at = ends_at or time.monotonic() + grace_s
                if time.monotonic() > ends_at:
                    return False
        return True

    def dismiss(self) -> None:
        """Let the threads end once they have done what was handed over, without waiting for them."""
        self._offer(None, 0)

    def _see_to_it(self) -> None:
        """Start a thread for an item in the queue, unless one is idle or there are enough."""
        with self._lock:
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
                # A daemon: a sender that waits for an answer must not keep an interrupted client from ending.
                self._threads.append(threading.Thread(target=self._run, daemon=True))
                self._threads[-1].start()

    def _offer(self, item: T | None, timeout_s: float) -> bool:
        try:
            self._queue.put(item, timeout=timeout_s)
        except Full:
            return False
        return True

    def _run(self) -> None:
        while (item := self._next()) is not None:
            if not (self._drops_on_halt and self._halt.cancelled):
                self._do(item)
            del item  # and what it holds, which would live until another came
        self._queue.put(None)  # pass the end on to the next thread of this stage

    def _do(self, item: T) -> None:
        try:
            self._work(item)
        except BaseException as error:  # noqa: BLE001 - the thread's outermost boundary; the run ends with it
            _log.debug("stage ends the run", exc_info=error)
            self._halt.cancel(error)

    def _next(self) -> T | None:
        try:
            return self._queue.get_nowait()
        except Empty:
            self._idle.release()
            return self._queue.get()
