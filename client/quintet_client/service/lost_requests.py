"""Requests that the server has lost: detected when later ones are answered, and abandoned, so that they are sent again.

If a worker is killed while TorchServe 0.12.0 gathers its batch, the gathered requests are never answered and their
connections stay open; without this module they wait for the client's own timeout, 16 minutes. Silence alone does not
tell a lost request from a slow one. But requests wait in one queue: once a later one has been answered, this one is no
longer in it. Where no later one is in flight, an empty page is sent as a probe.

With several workers, one of them may be at work for that long. Then some pages are read twice, and none fails: an
abandoned request costs a page none of its tries, and the next attempt is given four times as long. A read timeout that
follows the slowest answer does not replace this: it sends a whole queue again when one batch takes longer than those
before it, and cannot shorten the wait of requests that were sent before the first answer.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from requests import Session
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse
from urllib3.util.wait import wait_for_read

# A restart of the worker takes ten seconds; a page, on a slow machine, a few.
LEAST_SILENCE_S = 60.0
# Of the slowest answer so far: a batch of large pages behind a full queue takes longer than anything before it.
TIMES_SLOWEST = 3.0
_POLL_S = 0.5
# A host that is gone is silent too: TCP keep-alive finds out.
_KEEP_ALIVE_S = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}

_log = logging.getLogger(__name__)


class LostRequestError(ConnectionError):
    """The server will not answer this request any more."""


class LostRequestDetector:
    """How long answers take and which requests have been overtaken, on all connections of a transport.

    Safe to share between threads; each of them has one request in flight.
    """

    def __init__(self, timeout_s: float, probe: Callable[[], bool]) -> None:
        """Prepare.

        Args:
            timeout_s: longest silence of the server in any case.
            probe: sends an empty page through the server's queue; returns whether a worker answered it.
        """
        self._timeout_s = timeout_s
        self._probe = probe
        self._lock = threading.Lock()
        self._slowest_s: float | None = None
        self._latest_answered = float("-inf")  # when it was sent; earlier requests have been overtaken
        self._probed_at = float("-inf")
        self._thread = threading.local()  # .lost: requests of this thread lost in a row

    def wait(self, connection: socket.socket) -> float:
        """Wait until the request just sent is answered; returns when it was sent.

        Raises:
            TimeoutError: no answer for `timeout_s`.
            LostRequestError: it has been overtaken, and unanswered for much longer than any answer took.
        """
        sent_at = time.monotonic()
        while not wait_for_read(connection, _POLL_S):
            self._check(sent_at)
        return sent_at

    def answered(self, sent_at: float, *, by_worker: bool) -> None:
        """Note that a request was answered: by a worker, or by the front end before the queue."""
        self._thread.lost = 0
        if by_worker:
            with self._lock:
                self._slowest_s = max(self._slowest_s or 0.0, time.monotonic() - sent_at)
                self._latest_answered = max(self._latest_answered, sent_at)

    def _check(self, sent_at: float) -> None:
        """Abandon a request if it is lost; send a probe if it may be."""
        silent_s = time.monotonic() - sent_at
        if silent_s > self._timeout_s:
            raise TimeoutError
        limit_s = self._limit_s()
        if silent_s <= limit_s:
            return
        if sent_at < self._latest_answered:
            self._thread.lost = self._times_lost() + 1
            _log.warning("a request is lost: silent for %.0f s, later ones were answered; sending it again", silent_s)
            raise LostRequestError(f"lost by the server, which was silent for {silent_s:.0f} s and answered later ones")
        self._probe_in_background(limit_s)

    def _limit_s(self) -> float:
        """How long a request of this thread may be silent; no limit before the first answer."""
        if self._slowest_s is None:
            return float("inf")
        return max(LEAST_SILENCE_S, TIMES_SLOWEST * self._slowest_s) * 4.0 ** self._times_lost()

    def _times_lost(self) -> int:
        return int(getattr(self._thread, "lost", 0))

    def _probe_in_background(self, pause_s: float) -> None:
        """Send an empty page behind the silent requests, unless one was sent within `pause_s`."""
        now = time.monotonic()
        with self._lock:
            if now - self._probed_at < pause_s:
                return
            self._probed_at = now
        threading.Thread(target=self._run_probe, args=(now,), name="lost-request-probe", daemon=True).start()

    def _run_probe(self, sent_at: float) -> None:
        if self._probe():
            with self._lock:
                self._latest_answered = max(self._latest_answered, sent_at)


def mount_detector(session: Session, detector: LostRequestDetector) -> None:
    """Have a session's requests wait for their answers under a detector."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, _DetectingAdapter(detector))


class _DetectingAdapter(HTTPAdapter):
    def __init__(self, detector: LostRequestDetector) -> None:
        self._detector = detector
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - requests' own arguments
        """Make pools whose connections wait under the detector, with TCP keep-alive."""
        super().init_poolmanager(*arguments, **options, socket_options=_socket_options())
        attributes = {"detector": self._detector}
        http = type("DetectingHttp", (_Detecting, HTTPConnection), attributes)
        https = type("DetectingHttps", (_Detecting, HTTPSConnection), attributes)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("DetectingHttpPool", (HTTPConnectionPool,), {"ConnectionCls": http}),
            "https": type("DetectingHttpsPool", (HTTPSConnectionPool,), {"ConnectionCls": https}),
        }


class _Detecting(HTTPConnection):
    """A connection that abandons a lost request."""

    detector: LostRequestDetector

    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as in urllib3, whose answers are its own
        """Wait, then read the head of the answer."""
        sent_at = self.detector.wait(self.sock)
        answer = super().getresponse()
        self.detector.answered(sent_at, by_worker=answer.status == 200)
        return answer


def _socket_options() -> list[tuple[int, int, int]]:
    options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    times_s = {name: seconds for name, seconds in _KEEP_ALIVE_S.items() if hasattr(socket, name)}  # not on every system
    return options + [(socket.IPPROTO_TCP, getattr(socket, name), seconds) for name, seconds in times_s.items()]
