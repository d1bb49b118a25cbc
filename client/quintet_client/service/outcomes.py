"""The outcomes of an attempt to read a page, and which answer of the server means which.

Field notes on TorchServe: a refused token is a 400, a killed worker a 500 or 507 for the whole batch, an oversized body
a 413 without content. So the JSON `type` decides before the status does.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from quintet_client.service.documents import check_answer, parsed


@dataclass(frozen=True, slots=True)
class Answered:
    """The page was read."""

    document: bytes  # the answer without its request id, as canonical JSON: equal answers are equal bytes
    model: str  # fingerprint of weights and settings
    request_id: str  # of the request in the server's log
    tries: int = field(default=1, compare=False)  # used up by the page; waiting out a restart takes none


@dataclass(frozen=True, slots=True)
class PageFailed:
    """The page cannot be read, however often it is tried; `code` is stable."""

    code: str
    message: str
    request_id: str = field(default="", compare=False)  # of the last request; empty without one
    tries: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class TryFailed:
    """Something broke that this very page may have caused: it costs the page one of its tries."""

    code: str
    message: str
    request_id: str = field(default="", compare=False)

    @property
    def shared(self) -> bool:
        """Whether another page in the server's batch may as well have caused it: such faults hit the whole batch."""
        return self.code in _SHARED_FAULTS

    @property
    def silent(self) -> bool:
        """Whether no answer came in time."""
        return self.code == "TIMEOUT"


@dataclass(frozen=True, slots=True)
class Dropped:
    """The connection broke in mid-request: most likely a restart, which is not the page's fault."""

    message: str


@dataclass(frozen=True, slots=True)
class NotNow:
    """The server cannot take the page at the moment; costs the page nothing."""

    message: str
    retry_after_s: float = 0.0  # how long the server asked to wait
    busy: bool = False  # working on other pages, not unreachable or not ready
    reached: bool = False  # something answered


@dataclass(frozen=True, slots=True)
class Unauthorised:
    """The token was refused."""

    message: str


Outcome = Answered | PageFailed | TryFailed | Dropped | NotNow | Unauthorised
# How a page ends; the others are followed by another attempt.
Final = Answered | PageFailed
Trouble = TryFailed | Dropped | NotNow | Unauthorised

# A server may ask for a pause, not for the night.
MAX_RETRY_AFTER_S = 60.0
# Enough for a sentence; a server that answers with a stack trace has it in its own log.
MAX_MESSAGE_CHARS = 500

_PARSING = threading.Lock()
_SHARED_FAULTS = {"WORKER_DIED", "OUT_OF_MEMORY", "SERVER_ERROR"}
_TOKEN_REFUSED = {"InvalidKeyException"}
_NOT_READY_STATUS = {404, 405, 502}
_BUSY_STATUS = {429, 503}


def outcome_of(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Map one complete HTTP answer to its outcome."""
    if status == 200:
        return _answer(body, headers)
    code, kind, message, request_id = _read_error(body)
    message = message or f"HTTP {status} without an explanation"
    if status in (401, 403) or kind in _TOKEN_REFUSED:
        return Unauthorised(message)
    if status in _BUSY_STATUS:
        return NotNow(message, _retry_after_s(headers), busy=True, reached=True)
    if status in _NOT_READY_STATUS or status < 400:
        hint = "is this the inference address of a server with the model?"
        return NotNow(f"HTTP {status}: {message}; {hint}", reached=True)
    if status >= 500 or status == 408:
        return TryFailed(code or _fault_code(status, message), message, request_id)
    return PageFailed(code or _refusal_code(status, kind), message, request_id)


def traced(outcome: Outcome, request_id: str) -> Outcome:
    """The same outcome, with the id that the request was sent under if the answer has none."""
    if isinstance(outcome, PageFailed | TryFailed) and not outcome.request_id:
        return replace(outcome, request_id=request_id)
    return outcome


def canonical_json(document: object) -> bytes:
    """Serialise so that equal documents are equal bytes: sorted keys, no spaces, UTF-8, one final newline.

    Raises ValueError for NaN and infinities, which JSON has not.
    """
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    # A lone surrogate has no UTF-8, but its backslash form is the very escape JSON has for it.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _answer(body: bytes, headers: Mapping[str, str]) -> Answered | TryFailed:
    # One at a time, as they take the GIL in any case: a parsed document takes up to 25 times the bytes of its answer.
    with _PARSING:
        try:
            document = parsed(body)
            check_answer(document)
            request_id = one_line(document.pop("request_id", None) or headers.get("X-Request-Id", ""))
            return Answered(canonical_json(document), one_line(document["model"]), request_id)
        except (ValueError, RecursionError) as error:
            return TryFailed("BAD_ANSWER", one_line(f"status 200, but the answer is none: {error}"))


def _read_error(body: bytes) -> tuple[str, str, str, str]:
    """Return our `code`, TorchServe's `type`, the message and the request's id; empty where the body does not say."""
    try:
        document = parsed(body)
    except ValueError:
        document = {}
    ours = document.get("error")
    if isinstance(ours, dict):
        code, message, request_id = (one_line(ours.get(key, "")) for key in ("code", "message", "request_id"))
        return code, "", message, request_id
    return "", one_line(document.get("type", "")), one_line(document.get("message", "")), ""


def one_line(text: object) -> str:
    """Make one bounded line of valid UTF-8 of foreign text, for logs and the ledger."""
    line = " ".join(str(text).split())[:MAX_MESSAGE_CHARS]
    return line.encode("utf-8", "backslashreplace").decode()


def _fault_code(status: int, message: str) -> str:
    if "worker died" in message.lower():
        return "WORKER_DIED"
    return {408: "TIMEOUT", 504: "TIMEOUT", 507: "OUT_OF_MEMORY"}.get(status, "SERVER_ERROR")


def _refusal_code(status: int, kind: str) -> str:
    if status == 413:
        return "IMAGE_TOO_LARGE"
    return "BAD_REQUEST" if kind == "BadRequestException" else f"HTTP_{status}"


def _retry_after_s(headers: Mapping[str, str]) -> float:
    try:
        return min(max(0.0, float(headers.get("Retry-After", "0"))), MAX_RETRY_AFTER_S)
    except ValueError:  # the header's other form is a date; our own backoff serves as well
        return 0.0
