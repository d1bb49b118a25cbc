"""The one place that talks HTTP: pages' bytes out, typed outcomes back."""

import json
import logging
import math
import os
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit
from weakref import WeakSet

import requests
from quintet.frame import frames, stage_times
from urllib3.exceptions import HTTPError, ReadTimeoutError

from quintet_client.errors import UsageError
from quintet_client.service.addresses import Place, name_host
from quintet_client.service.lost_requests import LostRequestDetector, mount_detector
from quintet_client.service.outcomes import (
    Answered,
    Dropped,
    NotNow,
    Outcome,
    PageFailed,
    Trouble,
    TryFailed,
    Unauthorised,
    outcome_of,
    traced,
)
from quintet_client.service.page import Limits, Page, Served
from quintet_client.service.tokens import TokenSource

DEFAULT_SERVER = "http://127.0.0.1:8080"
DEFAULT_MODEL = "quintet"  # reads pages
# What stands in for the two where none is given.
SERVER_VARIABLE, MODEL_VARIABLE = "QUINTET_SERVER", "QUINTET_MODEL"
# A minute above the service's own responseTimeout: it kills a stalled worker and says so before the client gives up
# on an answer. The last of 192 pages in flight also waits for 191 others: on two CPU cores that is over six minutes.
DEFAULT_TIMEOUT_S = 960.0
SERVICE = "/service"
# A server that is there accepts at once; one that is not must be noticed soon.
CONNECT_TIMEOUT_S = 5.0
# The question for limits waits in the server's queue like a page: a run is not held up by it for longer than this.
LIMITS_WITHIN_S = 30.0
# What an answer may hold for each page: one of 10,000 lines has 2 MB. 192 under way: 768 MiB, twice that while copied.
MAX_ANSWER_BYTES = 4 << 20
# And for all pages of a request: TorchServe's max_response_size. Longer answers come in halves.
MAX_RESPONSE_BYTES = 64 << 20
# What TorchServe's archiver lets a model be called; stages have such names too.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# A service cannot be set to take more (docs/settings.md).
_MOST_LIMITS = Limits(1 << 31, 1 << 31, 1 << 29, 1000)
# urllib3 begins with the class that did not succeed.
_OWN_NAME = re.compile(r"^\w+\(host=.*?\): ")
_CHUNK_BYTES = 1 << 16
_PACKED = {"Content-Type": frames.MEDIA_TYPE}
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Transport(Protocol):
    """Carries pages to the server and brings back what became of them; safe to share between threads.

    Faults of the network, the server and the pages are outcomes, never exceptions.
    """

    @property
    def takes_frames(self) -> bool:
        """Whether several pages may travel in one request, as far as is known."""

    def read(self, page: Page) -> Outcome:
        """Make one attempt for one page."""

    def read_many(self, pages: Sequence[Page]) -> list[Outcome] | Outcome:
        """Make one attempt for several pages in one request.

        Returns:
            The outcome of each, in order, or one outcome of the request as a whole: it was not taken, broke on the way
            or was refused (`PageFailed`), and says nothing about any single page.
        """

    def ask_limits(self) -> Served | Trouble:
        """Ask once what the service takes, and which model it has; an outcome says why it did not answer."""

    @property
    def stage_seconds(self) -> Mapping[str, float]:
        """How long the service's stages took for what it answered, as far as it says so, in its order."""


class _Reply(NamedTuple):
    """One complete answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    request_id: str  # that the request was sent under


class HttpTransport:
    """Raw bodies: an image as it is, or a frame of several; one kept-alive session a thread."""

    def __init__(
        self,
        server: str | Place,
        tokens: TokenSource,
        timeout_s: float,
        model: str = DEFAULT_MODEL,
        leave_out: Sequence[str] = (),
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            server: base URL of the inference address, or a place with one of the addresses of its name.
            tokens: where the bearer token comes from.
            timeout_s: longest silence of the server within one request.
            model: the name that the chain is served under.
            leave_out: stages that pages are to be read without.

        Raises:
            UsageError: the server is no http(s) URL, or a name of the model or of a stage is none.
        """
        self._place = server if isinstance(server, Place) else Place(server)
        _base(self._place.server)
        self._url = f"{self._place.url}/predictions/{_checked(model)}"
        self._leave_out = tuple(_checked(stage, "a stage to leave out") for stage in leave_out)
        self._tokens = tokens
        self._timeouts_s = (min(CONNECT_TIMEOUT_S, timeout_s), timeout_s)
        self._local = threading.local()
        self._sessions: WeakSet[requests.Session] = WeakSet()  # those of threads that have ended are gone
        self._sessions_lock = threading.Lock()
        self._frames_refused = threading.Event()
        self._lost_requests = LostRequestDetector(timeout_s, self._probe)
        self._stages_lock = threading.Lock()
        self.stage_seconds: Counter[str] = Counter()

    @property
    def takes_frames(self) -> bool:
        """False once the server has refused a frame."""
        return not self._frames_refused.is_set()

    def read(self, page: Page, within_s: float = math.inf) -> Outcome:
        """Send the page as it is: one image, even if it is a document, unless pages of that are asked for."""
        asked = dict(page.document) or {frames.PAGES_HEADER: frames.ONE_IMAGE}
        pages = frames.MAX_ITEMS if page.document else 1
        return self._send(
            page.body, {"Content-Type": "application/octet-stream", **asked}, pages, _outcome, within_s=within_s
        )

    def read_many(self, pages: Sequence[Page]) -> list[Outcome] | Outcome:
        """Send the pages in one frame."""
        came = self.send_frame(frames.pack_pages([page.body for page in pages]), len(pages))
        # A server that does not know frames takes this one for an image: whatever it says is meant for all of it.
        if isinstance(came, PageFailed) and came.code != "IMAGE_TOO_LARGE" and self.takes_frames:
            self._frames_refused.set()
            _log.warning("the server takes no packed pages, sending one a request: %s: %s", came.code, came.message)
        return came

    def send_frame(self, frame: bytes, count: int) -> list[Outcome] | Outcome:
        """Send a frame of any kind that is answered with `count` answers; otherwise as `read_many`."""
        return self._send(frame, _PACKED, count, lambda answer: _outcomes(answer, count))

    def ask_limits(self) -> Served | Trouble:
        """Ask what the service takes; one that does not know the question has the usual limits.

        On a connection of its own: how soon this is answered says nothing about how long pages take.

        Raises:
            UsageError: it does not say that pages can be read without the stages that are left out.
        """
        question = frames.pack_question(frames.Kind.LIMITS)
        with _new_session(self._place) as session:
            came = self._send(question, _PACKED, 1, lambda answer: _outcomes(answer, 1), session, LIMITS_WITHIN_S)
        answer = came[0] if isinstance(came, list) else came
        match answer:
            case Answered():
                told = json.loads(answer.document)
                self._check_leave_out(told.get("optional_stages"))
                known = {name: (told.get(name), most) for name, most in _MOST_LIMITS._asdict().items()}
                limits = Limits(
                    **{name: found for name, (found, most) in known.items() if type(found) is int and 0 < found <= most}
                )
                return Served(limits, answer.model)
            case PageFailed():
                self._check_leave_out(None)
                _log.debug("the server does not say its limits: %s: %s", answer.code, answer.message)
                return Served()
        return answer

    def _check_leave_out(self, stages: object) -> None:
        """Raise UsageError if the service, by its own list, would not leave out what is asked for."""
        known = [stage for stage in stages if isinstance(stage, str)] if isinstance(stages, list) else []
        if wrong := [stage for stage in self._leave_out if stage not in known]:
            raise UsageError(
                f"{wrong[0]} cannot be left out; of the model at {self._place} {', '.join(known) or 'nothing'} can be"
            )

    def _probe(self) -> None:
        """Send an empty page: who answers it is what counts."""
        self.read(Page("", b""))

    def close(self) -> None:
        """Close the connections that are idle, and the others when their answers have come."""
        with self._sessions_lock:
            for session in self._sessions:
                session.close()

    def _send(
        self,
        body: bytes,
        headers: Mapping[str, str],
        pages: int,
        understand: Callable[[_Reply], T],
        session: requests.Session | None = None,
        within_s: float = math.inf,
    ) -> T | Outcome:
        """Make one request of so many pages; once more, at once, for every newer token found after a rejection."""
        while True:
            token = self._tokens.current()
            came = self._attempt(body, headers, pages, token, session or self._session(), within_s)
            found = understand(came) if isinstance(came, _Reply) else came
            if not isinstance(found, Unauthorised) or not self._tokens.renew(rejected=token):
                return found

    def _attempt(
        self,
        body: bytes,
        headers: Mapping[str, str],
        pages: int,
        token: str | None,
        session: requests.Session,
        within_s: float,
    ) -> _Reply | Outcome:
        request_id = uuid.uuid4().hex
        headers = {**headers, "X-Request-Id": request_id}
        if self._leave_out:
            headers[frames.LEAVE_OUT_HEADER] = ",".join(self._leave_out)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connect_s, answer_s = self._timeouts_s
        timeouts_s = (connect_s, min(answer_s, within_s))
        most_bytes = min(pages * MAX_ANSWER_BYTES, MAX_RESPONSE_BYTES)
        try:
            with session.post(
                self._url, data=body, headers=headers, timeout=timeouts_s, allow_redirects=False, stream=True
            ) as answer:
                reply = _Reply(answer.status_code, answer.headers, _body(answer, most_bytes, timeouts_s[1]), request_id)
        except requests.ConnectTimeout as error:
            return NotNow(_reason(error))
        except requests.ReadTimeout as error:
            return TryFailed("TIMEOUT", _reason(error), request_id)
        except (requests.RequestException, HTTPError) as error:
            return traced(_broken(error), request_id)
        except _BadBodyError as error:
            return TryFailed("BAD_ANSWER", str(error), request_id)
        with self._stages_lock:
            self.stage_seconds.update(stage_times.from_header(reply.headers.get(stage_times.HEADER, "")))
        _log.debug("request %s: %d bytes, HTTP %d", request_id, len(body), reply.status)
        return reply

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _new_session(self._place)
            mount_detector(session, self._lost_requests, self._place)
            with self._sessions_lock:
                self._sessions.add(session)
        return session


def describe_model(
    management: str, model: str, token: str | None, timeout_s: float
) -> dict[str, Any] | NotNow | Unauthorised:
    """Ask the management address what it says of the model.

    Args:
        management: base URL of the management address.
        model: the name that it is served under.
        token: that of the management address.
        timeout_s: longest silence of the server.

    Raises:
        UsageError: the address is no http(s) URL, or the model's name is none.
    """
    url = f"{_base(management)}/models/{_checked(model)}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        reply = _get(url, headers, timeout_s)
        if reply.status == 200:
            return dict(json.loads(reply.body)[0])
    except (requests.RequestException, HTTPError) as error:
        return NotNow(f"the management address: {_reason(error)}")
    except (_BadBodyError, ValueError, LookupError, TypeError, RecursionError):
        return NotNow(f"{url} answers with something else than a model", reached=True)
    came = outcome_of(reply.status, reply.headers, reply.body)
    return came if isinstance(came, Unauthorised) else NotNow(f"{url} answers HTTP {reply.status}", reached=True)


def describe_service(server: str, timeout_s: float) -> dict[str, Any]:
    """What the supervisor says at the inference address; nothing where there is none.

    Raises:
        UsageError: the address is no http(s) URL.
    """
    try:
        told = json.loads(_get(_base(server) + SERVICE, {}, timeout_s).body)
        return told if isinstance(told, dict) and told.get("schema") == "quintet.service/1" else {}
    except (requests.RequestException, HTTPError, _BadBodyError, ValueError, RecursionError):
        return {}  # the page that follows says whether the service reads


def _get(url: str, headers: Mapping[str, str], timeout_s: float) -> _Reply:
    """Ask once, on a connection of its own."""
    options: dict[str, Any] = {"timeout": timeout_s, "allow_redirects": False, "stream": True}
    with _new_session(Place(url)) as session, session.get(url, headers=headers, **options) as answer:
        return _Reply(answer.status_code, answer.headers, _body(answer, MAX_ANSWER_BYTES, timeout_s), "")


def _base(url: str) -> str:
    """A URL to put paths behind."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"an address is {url!r}; give a URL such as http://127.0.0.1:8080")
    return url.rstrip("/")


def _checked(name: str, what: str = "a model") -> str:
    """The name of a model, or of a stage, to put into a path or a header."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{what} is called {name!r}; give a name of letters, digits and any of _.-")
    return name


def _new_session(place: Place) -> requests.Session:
    session = requests.Session()
    name_host(session, place)
    # Neither may a .netrc replace our token nor a proxy meant for the web see pages on their way to loopback.
    session.trust_env = False
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
    session.headers["Accept-Encoding"] = "identity"
    return session


class _BadBodyError(Exception):
    """An answer that is not read to its end; the message says why."""


def _body(answer: requests.Response, most_bytes: int, within_s: float) -> bytes:
    """Read an answer's body.

    Raises:
        _BadBodyError: it is longer, or compressed: 1.5 MB may unpack to 2.7 GB.
        requests.ReadTimeout: it has not come to its end in time, although it never fell silent.
    """
    ends_at = time.monotonic() + within_s
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise _BadBodyError(f"the answer is compressed ({encoding[:20]!r}), which was not asked for")
    body = bytearray()
    while chunk := answer.raw.read1(_CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > most_bytes:
            raise _BadBodyError(f"the answer is longer than the {most_bytes} bytes that its pages may have")
        if time.monotonic() > ends_at:
            raise requests.ReadTimeout(f"the answer has not come to its end within {within_s:.0f} s")
    return bytes(body)


def _outcome(reply: _Reply) -> Outcome:
    return traced(outcome_of(reply.status, reply.headers, reply.body), reply.request_id)


def _outcomes(reply: _Reply, count: int) -> list[Outcome] | Outcome:
    """What became of each page of a frame, or of the request as a whole."""
    if reply.status != 200:
        return _outcome(reply)
    if not frames.is_packed(reply.headers.get("Content-Type")):
        return PageFailed("NOT_PACKED", "a frame was answered with something else")
    try:
        answers = frames.unpack_answers(reply.body)
    except frames.FrameError as error:
        return TryFailed("BAD_ANSWER", str(error), reply.request_id)
    if len(answers) != count:
        return TryFailed("BAD_ANSWER", f"{len(answers)} answers to {count} pages", reply.request_id)
    return [traced(outcome_of(page.status, reply.headers, page.body), reply.request_id) for page in answers]


def _broken(error: requests.RequestException | HTTPError) -> Outcome:
    """Tell a server that is not there from one that went away, and both from one that fell silent in mid-answer."""
    cause = error.args[0] if error.args and isinstance(error, requests.RequestException) else error
    if isinstance(cause, ReadTimeoutError):
        return TryFailed("TIMEOUT", _reason(error))
    refused = isinstance(error, requests.ConnectionError) and type(cause).__name__ == "MaxRetryError"
    return NotNow(_reason(error)) if refused else Dropped(_reason(error))


def _reason(error: requests.RequestException | HTTPError) -> str:
    cause = error.args[0] if error.args else error
    return _OWN_NAME.sub("", str(getattr(cause, "reason", cause)))
