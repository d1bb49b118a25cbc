"""Requests that the server has lost: told by what overtakes them, and let go, so that they are sent again.

A worker that is killed while TorchServe 0.12.0 gathers a batch takes the gathered requests with it: nobody answers
them, nobody closes their connections, and everything that is under way may stand still until the client's own timeout,
16 minutes. Silence alone does not tell a lost request from a slow one. But requests wait in one queue: when one that
set out later has been answered, this one is not in the queue any more. Where nothing else is under way, an empty page
is sent to see whether it comes through.

A worker among several may really be at work for so long. Then the server reads some pages twice, and nothing fails:
letting go costs a page none of its tries, and the next attempt has four times as long.
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
_LOOK_EVERY_S = 0.5
# A machine that is gone says nothing either: the kernel asks for it after so many seconds, three times.
_KEEP_ALIVE_S = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}

_log = logging.getLogger(__name__)


class LostRequestError(ConnectionError):
    """The server will not answer this request any more."""


class LostRequestDetector:
    """Knows how long answers take and what has overtaken whom, on all connections of a transport.

    Safe to share between threads; each of them has one request under way.
    """

    def __init__(self, timeout_s: float, ask: Callable[[], bool]) -> None:
        """Prepare.

        Args:
            timeout_s: longest silence of the server, whatever may be known.
            ask: sends an empty page through the server's queue; returns whether a worker answered it.
        """
        self._timeout_s = timeout_s
        self._ask = ask
        self._lock = threading.Lock()
        self._slowest_s: float | None = None
        self._overtaken_until = float("-inf")  # whoever set out before this moment
        self._asked_at = float("-inf")
        self._own = threading.local()  # .lost: requests of this thread in a row

    def wait(self, connection: socket.socket) -> float:
        """Wait until a request that has just set out is answered; returns when it set out.

        Raises:
            TimeoutError: it was silent for `timeout_s`.
            LostRequestError: it has been overtaken, and was silent for much longer than any answer took.
        """
        set_out_at = time.monotonic()
        while not wait_for_read(connection, _LOOK_EVERY_S):
            self._look_after(set_out_at)
        return set_out_at

    def heard(self, set_out_at: float, *, from_worker: bool) -> None:
        """Note that a request was answered: by a worker, or by the front end before the queue."""
        self._own.lost = 0
        if from_worker:
            with self._lock:
                self._slowest_s = max(self._slowest_s or 0.0, time.monotonic() - set_out_at)
                self._overtaken_until = max(self._overtaken_until, set_out_at)

    def _look_after(self, set_out_at: float) -> None:
        """Let a request go if it is lost; ask if that may be so."""
        silent_s = time.monotonic() - set_out_at
        if silent_s > self._timeout_s:
            raise TimeoutError
        patience_s = self._patience_s()
        if silent_s <= patience_s:
            return
        if set_out_at < self._overtaken_until:
            self._own.lost = self._times_lost() + 1
            _log.warning("a request is lost: silent for %.0f s, later ones were answered; sending it again", silent_s)
            raise LostRequestError(f"lost by the server, which was silent for {silent_s:.0f} s and answered later ones")
        self._ask_in_background(patience_s)

    def _patience_s(self) -> float:
        """How long a request of this thread may be silent; for ever as long as nobody knows how long answers take."""
        if self._slowest_s is None:
            return float("inf")
        return max(LEAST_SILENCE_S, TIMES_SLOWEST * self._slowest_s) * 4.0 ** self._times_lost()

    def _times_lost(self) -> int:
        return int(getattr(self._own, "lost", 0))

    def _ask_in_background(self, pause_s: float) -> None:
        """Send an empty page behind the silent requests, unless one was sent a short time ago."""
        now = time.monotonic()
        with self._lock:
            if now - self._asked_at < pause_s:
                return
            self._asked_at = now
        threading.Thread(target=self._overtake, args=(now,), name="detector", daemon=True).start()

    def _overtake(self, set_out_at: float) -> None:
        if self._ask():
            with self._lock:
                self._overtaken_until = max(self._overtaken_until, set_out_at)


def watch(session: Session, detector: LostRequestDetector) -> None:
    """Have a session's requests wait for their answers under a detector."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, _WatchedAdapter(detector))


class _WatchedAdapter(HTTPAdapter):
    """Makes connections that are watched."""

    def __init__(self, detector: LostRequestDetector) -> None:
        self._lost_requests = detector
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - requests' own arguments
        """Make the pools of this adapter."""
        super().init_poolmanager(*arguments, **options, socket_options=_socket_options())
        connections = {"detector": self._lost_requests}
        http = type("WatchedHttp", (_Watched, HTTPConnection), connections)
        https = type("WatchedHttps", (_Watched, HTTPSConnection), connections)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("WatchedHttpPool", (HTTPConnectionPool,), {"ConnectionCls": http}),
            "https": type("WatchedHttpsPool", (HTTPSConnectionPool,), {"ConnectionCls": https}),
        }


class _Watched(HTTPConnection):
    """A connection whose waiting for an answer can end early."""

    detector: LostRequestDetector

    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as in urllib3, whose answers are its own
        """Wait, then read the head of the answer."""
        set_out_at = self.detector.wait(self.sock)
        answer = super().getresponse()
        self.detector.heard(set_out_at, from_worker=answer.status == 200)
        return answer


def _socket_options() -> list[tuple[int, int, int]]:
    asks = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    named = {name: seconds for name, seconds in _KEEP_ALIVE_S.items() if hasattr(socket, name)}  # not on every system
    asks += [(socket.IPPROTO_TCP, getattr(socket, name), seconds) for name, seconds in named.items()]
    return [*HTTPConnection.default_socket_options, *asks]
