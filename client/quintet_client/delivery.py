"""Seeing one page through: which outcome is final, which is tried again, how long to wait, when to give up."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from quintet_client.errors import NotAuthorisedError, ServerUnreachableError
from quintet_client.outcomes import (
    MAX_RETRY_AFTER_S,
    Answered,
    Dropped,
    NotNow,
    Outcome,
    PageFailed,
    TryFailed,
    Unauthorised,
)
from quintet_client.transport import CONNECT_TIMEOUT_S, Item, Transport

BACKOFF_FIRST_S = 0.25
BACKOFF_MOST_S = 10.0
# A restart drops a connection once. A page that drops it so often in a row is doing it (a server that resets an
# oversized upload instead of answering, say), and would otherwise be sent for ever.
MAX_DROPS = 20
# While a server is away somebody tries at least this often: after the longest wait there is, plus a connect timeout.
_LONGEST_PAUSE_S = MAX_RETRY_AFTER_S + BACKOFF_MOST_S + CONNECT_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Delivered:
    """The end of one page: its outcome, and how many of its tries it took (waiting out a restart takes none)."""

    outcome: Answered | PageFailed
    tries: int


class Patience:
    """How long the server has kept everybody waiting; shared by all senders.

    Two clocks: an unreachable server ends the run after `give_up_s`. A busy one is reading somebody's page, which must
    come within `timeout_s`: only after both together is it as good as gone.
    """

    def __init__(self, give_up_s: float, timeout_s: float) -> None:
        self._lock = threading.Lock()
        self._limits_s = {False: give_up_s, True: give_up_s + timeout_s}
        self._since: dict[bool, float] = {}
        self._last: dict[bool, float] = {}

    def restore(self) -> None:
        """Note that the server answered a page."""
        with self._lock:
            self._since.clear()

    def strain(self, outcome: NotNow) -> None:
        """Note that the server could not take a page.

        Raises:
            ServerUnreachableError: that has been so for too long.
        """
        now = time.monotonic()
        with self._lock:
            if outcome.busy:
                self._since.pop(False, None)  # who says "busy" has been reached
            if now - self._last.get(outcome.busy, now) > _LONGEST_PAUSE_S:
                self._since.pop(outcome.busy, None)  # between the two complaints pages have been travelling
            self._last[outcome.busy] = now
            waited_s = now - self._since.setdefault(outcome.busy, now)
        if waited_s > self._limits_s[outcome.busy]:
            raise ServerUnreachableError(
                f"no page could be sent for {waited_s:.0f} s ({outcome.message}); "
                "start the server or give --server, then run the same command again to go on"
            )


class Delivery:
    """Reads items through a transport until each has its final outcome; safe to share between threads."""

    def __init__(
        self, transport: Transport, patience: Patience, tries: int, wait: Callable[[float], bool] | None = None
    ) -> None:
        """Prepare.

        Args:
            transport: makes the attempts.
            patience: decides when the server is given up.
            tries: how many faults of its own a page may have.
            wait: sleeps so many seconds and returns True if the work is to be abandoned; None only sleeps.
        """
        self._transport = transport
        self._patience = patience
        self._tries = tries
        self._wait = wait or _sleep

    def deliver(self, item: Item) -> Delivered | None:
        """See one item through.

        Returns:
            Its end, or None if `wait` said to abandon it.

        Raises:
            NotAuthorisedError: the token was refused and there is no newer one.
            ServerUnreachableError: the server kept everybody waiting for too long.
        """
        tries = drops = waits = 0
        while True:
            outcome = self._transport.read(item)
            tries += isinstance(outcome, Answered | PageFailed | TryFailed)
            drops = drops + 1 if isinstance(outcome, Dropped) else 0
            final = self._final(outcome, tries, drops)
            if final is not None:
                return Delivered(final, tries)
            waits += 1
            if self._wait(_backoff_s(waits, outcome)):
                return None

    def _final(self, outcome: Outcome, tries: int, drops: int) -> Answered | PageFailed | None:
        """Return the page's end if this outcome is one, after noting what it says about the server."""
        match outcome:
            case Answered() | PageFailed():
                self._patience.restore()
                return outcome
            case TryFailed() if tries >= self._tries:
                return PageFailed(outcome.code, f"{outcome.message} (tried {tries} times)")
            case Dropped() if drops >= MAX_DROPS:
                return PageFailed("CONNECTION_LOST", f"{outcome.message} ({drops} times in a row)")
            case Dropped():
                self._patience.strain(NotNow(outcome.message))
            case NotNow():
                self._patience.strain(outcome)
            case Unauthorised():
                raise NotAuthorisedError(
                    f"the server refused the token ({outcome.message}); give the server's key file with --token-file"
                )
        return None


def _backoff_s(waits: int, outcome: Outcome) -> float:
    """Exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter"), on top of Retry-After."""
    asked_s = outcome.retry_after_s if isinstance(outcome, NotNow) else 0.0
    return asked_s + random.uniform(0.0, min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** min(waits, 10)))


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False
