"""The one switch that ends a run early, and a thread pool with a bound on what waits."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec

P = ParamSpec("P")


class Cancellation:
    """Ends a run early: whoever finds a reason cancels, everybody looks; the first cause counts."""

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


class BoundedPool:
    """A `ThreadPoolExecutor` in which at most so many calls wait; whoever submits more waits too.

    What was submitted is done, also when the run is cancelled. An exception in a call cancels the run.
    """

    def __init__(self, threads: int, waiting: int, cancellation: Cancellation, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, name)
        self._slots = threading.BoundedSemaphore(threads + waiting)
        self._cancellation = cancellation

    def submit(self, work: Callable[P, None], *arguments: P.args, **options: P.kwargs) -> None:
        """Have a call made by one of the threads."""
        self._slots.acquire()
        try:
            self._pool.submit(work, *arguments, **options).add_done_callback(self._done)
        except RuntimeError:  # the pool is closed: nobody waits for this any more
            self._slots.release()
            raise

    def close(self) -> None:
        """Wait until all that was submitted is done."""
        self._pool.shutdown()

    def _done(self, future: "Future[None]") -> None:
        self._slots.release()
        if error := future.exception():
            self._cancellation.cancel(error)
