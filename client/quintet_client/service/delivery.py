"""Seeing pages through: which outcome is final, which is tried again, how long to wait, when to give up."""

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from quintet_client.errors import NotAuthorisedError, ServerUnreachableError
from quintet_client.service.batch_request import BatchRequest, singles
from quintet_client.service.isolation import Isolation
from quintet_client.service.outcomes import (
    MAX_RETRY_AFTER_S,
    Answered,
    Dropped,
    Final,
    NotNow,
    Outcome,
    PageFailed,
    Trouble,
    TryFailed,
    Unauthorised,
)
from quintet_client.service.page import USUAL_LIMITS, Limits, Page, Served
from quintet_client.service.transport import CONNECT_TIMEOUT_S, Transport

BACKOFF_FIRST_S = 0.25
BACKOFF_MOST_S = 10.0
# A restart drops a connection once. A page that drops it so often in a row is doing it (a server that resets an
# oversized upload instead of answering, say), and would otherwise be sent for ever.
MAX_DROPS = 20
# While a server is away somebody tries at least this often: after the longest wait there is, plus a connect timeout.
_LONGEST_PAUSE_S = MAX_RETRY_AFTER_S + BACKOFF_MOST_S + CONNECT_TIMEOUT_S
_SAY_AGAIN_S = 30.0

_log = logging.getLogger(__name__)


class GiveUpPolicy:
    """How long the server has kept everybody waiting; shared by all senders.

    Two clocks: an unreachable server ends the run after `give_up_s`. A busy one is reading somebody's page, which must
    come within `timeout_s`: only after both together is it as good as gone.
    """

    def __init__(self, give_up_s: float, timeout_s: float, name: str = "the server") -> None:
        self.name = name
        self._lock = threading.Lock()
        self._limits_s = {False: give_up_s, True: give_up_s + timeout_s}
        self._since: dict[bool, float] = {}
        self._last: dict[bool, float] = {}
        self._said_at: float | None = None  # when the log said that it is unreachable; None while it is not

    def reset(self) -> None:
        """Note that the server answered a page."""
        with self._lock:
            self._since.clear()
            back, self._said_at = self._said_at is not None, None
        if back:
            _log.info("%s takes pages again", self.name)

    def note(self, outcome: NotNow | Dropped | TryFailed) -> None:
        """Note that an attempt came to nothing; a fault of the page's own says nothing about the server.

        Raises:
            ServerUnreachableError: the server could take no page for too long.
        """
        if isinstance(outcome, TryFailed):
            return
        dropped = isinstance(outcome, Dropped)  # as one page alone may be: that is not said
        if isinstance(outcome, Dropped):
            outcome = NotNow(outcome.message)
        now = time.monotonic()
        with self._lock:
            if outcome.busy:
                self._since.pop(False, None)  # who says "busy" has been reached
            if now - self._last.get(outcome.busy, now) > _LONGEST_PAUSE_S:
                self._since.pop(outcome.busy, None)  # between the two complaints pages have been travelling
            self._last[outcome.busy] = now
            waited_s = now - self._since.setdefault(outcome.busy, now)
            most_s = self._limits_s[outcome.busy]
            if not (outcome.busy or dropped):
                self._say(outcome.message, waited_s, most_s, now)
        if waited_s > most_s:
            raise ServerUnreachableError(
                f"no page could be sent for {waited_s:.0f} s ({outcome.message}); "
                "start the server, or give the address that it has"
            )

    def _say(self, message: str, waited_s: float, most_s: float, now: float) -> None:
        """Log that the server is away: at once, and again now and then."""
        if self._said_at is None:
            _log.warning("%s takes no pages for now: %s; trying again for %.0f s", self.name, message, most_s)
        elif now - self._said_at > _SAY_AGAIN_S:
            left_s = max(0.0, most_s - waited_s)
            _log.warning("%s takes no pages for %.0f s; trying again for %.0f s more", self.name, waited_s, left_s)
        else:
            return
        self._said_at = now


class Delivery:
    """Reads pages through a transport until each has its final outcome; safe to share between threads."""

    def __init__(
        self,
        transport: Transport,
        give_up: GiveUpPolicy,
        tries: int,
        wait: Callable[[float], bool],
        isolation: Isolation | None = None,
    ) -> None:
        """Prepare.

        Args:
            transport: makes the attempts.
            give_up: decides when the server is given up.
            tries: how many faults of its own a page may have.
            wait: sleeps so many seconds and returns True if the work is to be abandoned.
            isolation: shared with the other deliveries to the same server; None for the only one.
        """
        self._transport = transport
        self._give_up = give_up
        self._tries = tries
        self._wait = wait
        self._isolation = isolation or Isolation()
        self._lock = threading.Lock()
        self.sent_again = 0  # pages of requests that were lost or broke: some of them are read twice
        self.services = 1  # that share what is under way
        self.waiting = 0  # pages that travel again after a pause

    @property
    def takes_frames(self) -> bool:
        """Whether several pages may travel in one request, as far as is known."""
        return self._transport.takes_frames

    def ask_limits(self) -> Limits:
        """What the service takes, once it answers; the usual limits if `wait` said to abandon the question.

        Raises:
            NotAuthorisedError, ServerUnreachableError: as for `deliver`.
        """
        for waits in itertools.count(1):
            came = self._transport.ask_limits()
            if isinstance(came, Served):
                return came.limits
            if isinstance(came, TryFailed) and came.silent:  # its queue is long, and holds up nothing but the question
                return USUAL_LIMITS
            self.note(came if isinstance(came, NotNow | Unauthorised) else NotNow(came.message))
            if waits == 1 and isinstance(came, NotNow) and came.busy:
                _log.info("waiting for the service: %s", came.message)
            if self._wait(backoff_s(waits, came)):
                break
        return USUAL_LIMITS

    def deliver(self, pages: Sequence[Page]) -> Generator[tuple[Page, Final], None, None]:
        """See pages through, in one request as long as that goes well.

        Yields:
            Each page with its end, as they come; fewer than all if `wait` said to abandon the rest.

        Raises:
            NotAuthorisedError: the token was refused and there is no newer one.
            ServerUnreachableError: the server kept everybody waiting for too long.
        """
        return self.see_through([BatchRequest(tuple(pages))] if pages else [])

    def see_through(self, requests: list[BatchRequest]) -> Generator[tuple[Page, Final], None, None]:
        """As `deliver`; what `wait` said to abandon is left in the list, and can travel on elsewhere."""
        while requests:
            if not (requests[-1].single or self.takes_frames):
                requests += singles(requests.pop().pages)
            pause_s = 0.0
            for request, outcome in self._attempt(requests.pop()):
                final = self._final(request, outcome)
                if final is not None:
                    yield request.pages[0], replace(final, tries=request.tries_after(outcome))
                    continue
                requests += request.after(outcome)
                self._note(request, outcome)
                pause_s = max(pause_s, backoff_s(request.waits + 1, outcome))
            if pause_s and self._pause(pause_s, sum(len(request.pages) for request in requests)):
                return

    def _pause(self, seconds: float, pages: int) -> bool:
        """Wait with so many pages that are to travel again; True if they are to be abandoned."""
        with self._lock:
            self.waiting += pages
        try:
            return self._wait(seconds)
        finally:
            with self._lock:
                self.waiting -= pages

    def _attempt(self, request: BatchRequest) -> list[tuple[BatchRequest, Outcome]]:
        """Make one request; the outcome of every part of it that has one of its own."""
        with self._isolation.alone() if request.suspect else self._isolation.together():
            if request.single:
                return [(request, self._transport.read(request.pages[0]))]
            came = self._transport.read_many(request.pages)
        if not isinstance(came, list):
            return [(request, came)]
        parts = [replace(request, pages=(page,), suspect=False) for page in request.pages]
        return list(zip(parts, came, strict=True))

    def _final(self, request: BatchRequest, outcome: Outcome) -> Final | None:
        """Return the end of a request's one page if this outcome is one, after noting what it says of the server."""
        match outcome:
            case Answered() | PageFailed():
                self._give_up.reset()
                return outcome if request.single else None
            case TryFailed() if (tries := request.tries_after(outcome)) >= self._tries:
                return PageFailed(outcome.code, f"{outcome.message} (tried {tries} times)", outcome.request_id)
            case Dropped() if request.single and (drops := request.drops_after(outcome)) >= MAX_DROPS:
                return PageFailed("CONNECTION_LOST", f"{outcome.message} ({drops} times in a row)")
        return None

    def _note(self, request: BatchRequest, outcome: Outcome) -> None:
        """Count and note an outcome after which the request is made again."""
        if isinstance(outcome, Dropped | TryFailed):
            with self._lock:
                self.sent_again += len(request.pages)
        if not isinstance(outcome, Answered | PageFailed):
            self.note(outcome)

    def note(self, outcome: Trouble) -> None:
        """Note that an attempt came to nothing; raises where that is final."""
        if isinstance(outcome, Unauthorised):
            raise NotAuthorisedError(
                f"the server refused the token ({outcome.message}); give that of its key file, key_file.json"
            )
        self._give_up.note(outcome)


def backoff_s(waits: int, outcome: Outcome) -> float:
    """Exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter"), on top of Retry-After."""
    if isinstance(outcome, PageFailed):
        return 0.0  # a batch that was refused as a whole travels on in parts at once
    asked_s = outcome.retry_after_s if isinstance(outcome, NotNow) else 0.0
    return asked_s + random.uniform(0.0, min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** min(waits, 10)))
