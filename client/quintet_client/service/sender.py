"""The one sender, behind `quintet read`, `QuintetClient.read_many` and its asyncio twin: bounded work under way."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol

from quintet_client.cancellation import Cancellation
from quintet_client.service.outcomes import Final, PageFailed
from quintet_client.service.page import Page

_POLL_S = 0.2
_log = logging.getLogger(__name__)


class InFlightLimit:
    """Bounds what is under way, in pages and in bytes: whoever brings more waits. Safe to share between threads."""

    def __init__(self, pages: int, size_bytes: int, cancellation: Cancellation) -> None:
        self.most_pages = pages
        self._most_bytes = size_bytes
        self._cancellation = cancellation
        self._changed = threading.Condition()
        self._pages = 0
        self._bytes = 0

    @property
    def pages(self) -> int:
        """How many pages are under way."""
        return self._pages

    def fits(self, pages: int, size_bytes: int) -> bool:
        """Whether so much may be added; what is larger than the limit fits once nothing is under way."""
        within = self._pages + pages <= self.most_pages and self._bytes + size_bytes <= self._most_bytes
        return within or self._pages == 0

    def adapt(self, answer_s: float, now: float) -> None:
        """Take note of how long the answer that came `now` (monotonic seconds) took; this limit stays as it is."""

    def allow(self, pages: int) -> None:
        """Let so many pages be under way from now on."""
        with self._changed:
            self.most_pages = pages
            self._changed.notify_all()

    def acquire(self, pages: int, size_bytes: int) -> bool:
        """Wait until so much may be added, and add it; returns False if the run is ending instead."""
        with self._changed:
            while not self.fits(pages, size_bytes):
                if self._cancellation.cancelled:
                    return False
                self._changed.wait(_POLL_S)
            self._pages += pages
            self._bytes += size_bytes
        return True

    def release(self, pages: int, size_bytes: int) -> None:
        """Take so much away."""
        with self._changed:
            self._pages -= pages
            self._bytes -= size_bytes
            self._changed.notify_all()


class AdaptiveLimit(InFlightLimit):
    """Begins with a few pages and grows to the most as far as answers then still come within seconds.

    A service answers all that it gathered at once: 192 pages are half a second's work for a GPU, and minutes' for two
    CPU cores. Pages under way divided by the time of an answer are the pages it reads a second (Little's law).
    """

    FIRST_PAGES = 4
    # Two requests of 16: 8 pages at a time are read 5 % slower (two CPU cores, 48 pages), and a service that others
    # keep busy would hardly be used.
    LEAST_PAGES = 32
    ANSWER_WITHIN_S = 10.0

    def __init__(self, pages: int, size_bytes: int, cancellation: Cancellation) -> None:
        super().__init__(min(pages, self.FIRST_PAGES), size_bytes, cancellation)
        self._ceiling = pages
        self._changed_at = float("-inf")

    def adapt(self, answer_s: float, now: float) -> None:
        """Move the limit, unless the answer is to a request that set out before the last change."""
        with self._changed:
            if now - answer_s < self._changed_at:
                return
            self._changed_at = now
            wanted = max(self.LEAST_PAGES, int(self._pages / max(answer_s, 1e-3) * self.ANSWER_WITHIN_S))
            self.most_pages = min(wanted, 4 * self.most_pages, self._ceiling)
            self._changed.notify_all()


class SeesThrough(Protocol):
    """What brings pages to their end, such as `Delivery`; safe to share between threads."""

    @property
    def waiting(self) -> int:
        """How many of the pages given to it wait until a server takes them."""

    def deliver(self, pages: Sequence[Page]) -> Iterable[tuple[Page, Final]]:
        """Yield each page with its end, as they come; fewer than all if the run is ending."""


class Sender:
    """Sends batches of pages from threads of its own, one request a thread at a time.

    A thread is started when there is work and none is idle: each keeps a connection, and where many pages travel in one
    request a few do all the work. They are daemons and no `concurrent.futures` pool, because Python waits for such a
    pool at exit: an interrupted client would stay until the last answer, up to its timeout of 16 minutes.

    An exception in a thread cancels the run; what has not been sent by then stays unsent.
    """

    def __init__(
        self,
        delivery: SeesThrough,
        limit: InFlightLimit,
        cancellation: Cancellation,
        on_outcome: Callable[[Page, Final, float], None],
    ) -> None:
        """Prepare; no thread is started yet.

        Args:
            delivery: sees pages through.
            limit: of what is under way; `release` makes room.
            cancellation: ends the work early.
            on_outcome: told of each page, its end and the seconds since its batch set out; from any thread.
        """
        self._delivery = delivery
        self._limit = limit
        self._cancellation = cancellation
        self._on_outcome = on_outcome
        self._queue: SimpleQueue[Sequence[Page] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)  # one for each thread that has found the queue empty
        self._requests = 0

    @property
    def pages(self) -> int:
        """How many pages are under way."""
        return self._limit.pages

    @property
    def requests(self) -> int:
        """How many batches are under way."""
        return self._requests

    def __str__(self) -> str:
        if waiting := self._delivery.waiting:
            return f"{waiting} of {self.pages} pages wait for the server"
        return f"{self.pages} sent in {self.requests} requests"

    def put(self, batch: Sequence[Page]) -> bool:
        """Wait until a batch may be under way, and hand it over; returns False if the run is ending instead."""
        if not self._limit.acquire(len(batch), sum(len(page.body) for page in batch)):
            return False
        self._queue.put(batch)
        with self._lock:
            if not self._idle.acquire(blocking=False):
                self._threads.append(threading.Thread(target=self._run, name="quintet-sender", daemon=True))
                self._threads[-1].start()
        return True

    def release(self, page: Page) -> None:
        """Make room for another page: this one has its end, and nobody needs its bytes any more."""
        self._limit.release(1, len(page.body))

    def close(self, grace_s: float = 0.0) -> None:
        """Wait until all batches have their end; once the run is ending, only so long."""
        self._queue.put(None)
        ends_at: float | None = None
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_POLL_S)
                if self._cancellation.cancelled:
                    ends_at = ends_at or time.monotonic() + grace_s
                    if time.monotonic() > ends_at:
                        return

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            if not self._cancellation.cancelled:
                self._send(batch)
            del batch  # and its bytes, which would live until another came
        self._queue.put(None)  # for the next thread

    def _next(self) -> Sequence[Page] | None:
        try:
            return self._queue.get_nowait()
        except Empty:
            self._idle.release()
            return self._queue.get()

    def _send(self, batch: Sequence[Page]) -> None:
        begin = time.monotonic()
        with self._lock:
            self._requests += 1
        try:
            for page in batch:
                if page.code:
                    self._on_outcome(page, PageFailed(page.code, page.message), 0.0)
            for page, outcome in self._delivery.deliver([page for page in batch if not page.code]):
                self._on_outcome(page, outcome, time.monotonic() - begin)
        except BaseException as error:  # noqa: BLE001 - the thread's outermost boundary; the run ends with it
            _log.debug("a sender ends the run", exc_info=error)
            self._cancellation.cancel(error)
        finally:
            with self._lock:
                self._requests -= 1
