"""Requests that the server has lost: detected by who answers later ones, and abandoned, so that they are sent again.

If a worker is killed while TorchServe 0.12.0 gathers its batch, the gathered requests are never answered and their
connections stay open; without this module they wait for the client's own timeout, 16 minutes. Silence alone does not
tell a lost request from a slow one. But requests wait in one queue, and a worker answers what it has taken before it
takes more: a worker that answers a later request does not hold this one. Once every worker that lives has done so,
nobody holds it. The answers say which workers live (`X-Quintet-Workers`); where none is under way, an empty page is
sent as a probe. A server that does not say it is believed for the client's timeout.

An abandoned request costs a page none of its tries.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from quintet.frame.frames import WORKERS_HEADER
from requests import Session
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse
from urllib3.util.wait import wait_for_read

from quintet_client.service.addresses import NamedAdapter, Place

# What one request may take longer than another between this process and the queue, or back.
MARGIN_S = 5.0
_POLL_S = 0.5
_MOST_WORKERS = 256
# A host that is gone is silent too: TCP keep-alive finds out.
_KEEP_ALIVE_S = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}

_log = logging.getLogger(__name__)


class LostRequestError(ConnectionError):
    """The server will not answer this request any more."""


class _Server(NamedTuple):
    """What one of the servers behind the address has told."""

    told_at: float
    answered: dict[str, float]  # by living worker, when the latest request was sent that it answered


class LostRequestDetector:
    """Which workers live and what they have answered, on all connections of a transport.

    Safe to share between threads; each of them has one request in flight.
    """

    def __init__(self, timeout_s: float, probe: Callable[[], object]) -> None:
        """Prepare.

        Args:
            timeout_s: longest silence of the server in any case.
            probe: sends an empty page through the server's queue.
        """
        self._timeout_s = timeout_s
        self._probe = probe
        self._lock = threading.Lock()
        self._servers: dict[str, _Server] = {}
        self._next_probe_at = 0.0
        self._probe_pause_s = MARGIN_S

    def wait(self, connection: socket.socket) -> float:
        """Wait until the request just sent is answered; returns when it was sent.

        Raises:
            TimeoutError: no answer for `timeout_s`.
            LostRequestError: no living worker holds it.
        """
        sent_at = time.monotonic()
        lost_since: float | None = None
        while not wait_for_read(connection, _POLL_S):
            now = time.monotonic()
            if now - sent_at > self._timeout_s:
                raise TimeoutError
            lost_since = (lost_since or now) if self._is_lost(sent_at, now) else None
            if lost_since is None:
                self._probe_in_background(sent_at, now)
            elif now - lost_since > MARGIN_S:  # or its answer was on its way
                _log.warning("a request is lost: every worker has answered later ones; sending it again")
                raise LostRequestError(f"lost by the server: silent for {now - sent_at:.0f} s while it answered others")
        return sent_at

    def answered(self, sent_at: float, workers: str) -> None:
        """Note who answered a request sent at that time: the value of `X-Quintet-Workers`, empty if there is none."""
        server, *ids = workers.split()[:_MOST_WORKERS] or [""]
        with self._lock:
            self._probe_pause_s = MARGIN_S
            self._next_probe_at = min(self._next_probe_at, time.monotonic() + MARGIN_S)
            if ids:
                known = self._servers[server].answered if server in self._servers else {}
                answered = {worker: known.get(worker, float("-inf")) for worker in ids}
                answered[ids[0]] = max(sent_at, answered[ids[0]])
                self._servers[server] = _Server(time.monotonic(), answered)

    def _is_lost(self, sent_at: float, now: float) -> bool:
        """Whether every living worker has answered a request that was sent clearly later."""
        with self._lock:
            # One of several that has said nothing for so long holds nothing that is still waited for.
            self._servers = {name: it for name, it in self._servers.items() if now - it.told_at < self._timeout_s}
            answered = [at for server in self._servers.values() for at in server.answered.values()]
        return bool(answered) and min(answered) > sent_at + MARGIN_S

    def _probe_in_background(self, sent_at: float, now: float) -> None:
        """Send an empty page behind a silent request; the next one after twice the time, until one is answered."""
        with self._lock:
            if now < max(sent_at + MARGIN_S, self._next_probe_at):
                return
            self._next_probe_at = now + self._probe_pause_s
            self._probe_pause_s *= 2
        threading.Thread(target=self._probe, name="lost-request-probe", daemon=True).start()


def mount_detector(session: Session, detector: LostRequestDetector, place: Place) -> None:
    """Have a session's requests to a place wait for their answers under a detector."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, _DetectingAdapter(detector, place))


class _DetectingAdapter(NamedAdapter):
    def __init__(self, detector: LostRequestDetector, place: Place) -> None:
        self._detector = detector
        super().__init__(place)

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
        self.detector.answered(sent_at, answer.headers.get(WORKERS_HEADER, ""))
        return answer


def _socket_options() -> list[tuple[int, int, int]]:
    options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    times_s = {name: seconds for name, seconds in _KEEP_ALIVE_S.items() if hasattr(socket, name)}  # not on every system
    return options + [(socket.IPPROTO_TCP, getattr(socket, name), seconds) for name, seconds in times_s.items()]
