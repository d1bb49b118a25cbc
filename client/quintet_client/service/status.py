"""`quintet status`: whether a service reads pages now, in a form that a probe can act on. Needs no torch.

TorchServe's own `/ping` says Healthy while workers load and while they crash. So a page is sent: a service that answers
it is reachable, has taken the token, and has all five models running.
"""

import base64
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from quintet.errors import Code

from quintet_client.errors import ExitCode, UsageError
from quintet_client.service.outcomes import (
    Answered,
    Dropped,
    NotNow,
    Outcome,
    PageFailed,
    TryFailed,
    Unauthorised,
    one_line,
)
from quintet_client.service.page import Page
from quintet_client.service.tokens import tokens_of
from quintet_client.service.transport import DEFAULT_MODEL, HttpTransport, describe_model, describe_service

# A PNG of 230 x 115 pixels that says READY in letters of 5 x 7 blocks, so that all five models have work.
PROBE_PAGE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAOYAAABzCAAAAACpqiGXAAAAu0lEQVR42u3XQRLAEAwAQP//dPsBMkLbmcrmhhB7MdGuEtEwMTExMTExMTExMT"
    "ExMTExMTExMTExMTExMTExMTExMTExMYfZnYhX45TUyb27YGJilmMO5+LC+b2zq5iYmJivMlOFMDExj2buNGzDlNm3NC/ExMQ8i7l4hWfaOUxM"
    "TMy5ISYmJubn/83Fdi5uFDExMTH/HJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJilmDd4tfYzXKDP5gAAAABJRU5ErkJggg=="
)
# A probe does not wait for a key file to change: the next probe reads it anew.
_NO_GRACE_S = 0.0


@dataclass(frozen=True, slots=True)
class Workers:
    """What the management address says."""

    states: tuple[str, ...]  # one word a worker
    least: int  # workers that there have to be
    waiting: int | None  # requests that wait for a worker; None if it does not say

    @property
    def ready(self) -> bool:
        """Whether there are enough and all can read."""
        return len(self.states) >= self.least and set(self.states) == {"READY"}


@dataclass(frozen=True, slots=True)
class Supervisor:
    """What keeps TorchServe running says of it."""

    state: str  # starting, ready or restarting
    since: str  # when that began, ISO 8601
    restarts: int  # since the service was started
    restart_reason: str  # of the last one

    def summary(self) -> str:
        """Behind the line for a person; nothing without a restart."""
        times = "1 time" if self.restarts == 1 else f"{self.restarts} times"
        told = f", {self.state} since {self.since}, restarted {times}, last because {self.restart_reason}"
        return told if self.restarts else ""


@dataclass(frozen=True, slots=True)
class Status:
    """What was found."""

    server: str
    served_model: str  # the name that was asked for
    ready: bool = False  # a page was read just now, or looked at by a chain that takes none
    reachable: bool = False
    authorised: bool | None = None  # None if the token was neither taken nor refused
    workers: Workers | None = None  # None if the management address was not asked or did not answer
    supervisor: Supervisor | None = None  # None if it does not say, as behind a proxy
    latency_s: float | None = None  # from sending the page to its answer
    model: str = ""  # its fingerprint
    answer_schema: str = ""  # of what it answered
    text: str = ""  # on the page, which says READY; of a chain that reads no text, nothing
    refused: str = ""  # the code with which a chain of other things than pictures refused the page
    request_id: str = ""
    reason: str = ""  # why it is not ready

    @property
    def exit_code(self) -> ExitCode:
        """For a probe: 0, 4 or 5."""
        if self.ready:
            return ExitCode.OK
        return ExitCode.NOT_AUTHORISED if self.authorised is False else ExitCode.SERVER_UNREACHABLE

    def to_json(self) -> str:
        """One line of JSON."""
        document = {"schema": "quintet.status/1", **asdict(self), "exit_code": int(self.exit_code)}
        return json.dumps(document, ensure_ascii=False) + "\n"

    def summary(self) -> str:
        """One line for a person."""
        restarts = self.supervisor.summary() if self.supervisor else ""
        where = self.server if self.served_model == DEFAULT_MODEL else f"{self.server} ({self.served_model})"
        if not self.ready:
            return f"not ready: {where}: {self.reason}{restarts}\n"
        found = self.workers
        workers = f", READY workers: {len(found.states)}, waiting requests: {found.waiting}" if found else ""
        answered = f"answered {self.answer_schema}" if self.answer_schema else f"refused the page as {self.refused}"
        said = f'read "{self.text}"' if self.text else answered
        model = f", model {self.model}" if self.model else ""
        return f"ready: {where} {said} in {self.latency_s:.3f} s{model}{workers}{restarts}\n"


def ask(
    server: str, management: str | None, token_file: Path | None, timeout_s: float, model: str = DEFAULT_MODEL
) -> Status:
    """Ask once; faults of network and server are in the answer.

    The addresses are base URLs; without `management` no workers are asked for, and `token_file` may be a plain token.
    A server that is silent for `timeout_s` is not ready. `model` is the name that the chain is served under.

    Raises:
        UsageError: a URL, the name, the token file or the time is wrong.
    """
    if not 0 < timeout_s < float("inf"):
        raise UsageError(f"--timeout-s is {timeout_s}; give seconds above 0")
    transport = HttpTransport(server, tokens_of(token_file, _NO_GRACE_S), timeout_s, model)
    begun = Status(server, model, supervisor=_supervisor(describe_service(server, timeout_s)))
    if management is not None:
        token = tokens_of(token_file, _NO_GRACE_S, "management").current()
        found = describe_model(management, model, token, timeout_s)
        if not isinstance(found, dict):
            return _not_read(begun, found)
        try:
            workers = _workers(found)
        except (AttributeError, TypeError, ValueError):
            return _not_read(begun, NotNow("the management address describes no model", reached=True))
        begun = replace(begun, reachable=True, workers=workers)
        if not workers.ready:
            return replace(begun, authorised=True, reason=f"workers are {', '.join(workers.states) or 'none'}")
    begin = time.monotonic()
    outcome = transport.read(Page("status", PROBE_PAGE))
    latency_s = round(time.monotonic() - begin, 4)
    if isinstance(outcome, Answered):
        answer = json.loads(outcome.document)
        begun = replace(begun, model=outcome.model, answer_schema=answer["schema"], text=str(answer.get("text", "")))
    elif isinstance(outcome, PageFailed) and model != DEFAULT_MODEL and outcome.code in set(Code):
        begun = replace(begun, refused=outcome.code)  # by the chain itself: that it looked is what was asked
    else:
        return _not_read(begun, outcome)
    status = replace(begun, request_id=outcome.request_id, latency_s=latency_s)
    return replace(status, ready=True, reachable=True, authorised=True)


def _supervisor(told: dict[str, Any]) -> Supervisor | None:
    if not told:
        return None
    state, since, reason = (one_line(told.get(name, "")) for name in ("state", "since", "restart_reason"))
    restarts = told.get("restarts")
    return Supervisor(state, since, restarts if isinstance(restarts, int) else 0, reason)


def _workers(description: dict[str, Any]) -> Workers:
    states = tuple(str(worker.get("status")) for worker in description.get("workers", []))
    queue = description.get("jobQueueStatus") or {}
    return Workers(states, int(description.get("minWorkers", 1)), queue.get("pendingRequests"))


def _not_read(begun: Status, outcome: Outcome) -> Status:
    """Tell a server that is not there from one that refuses, and both from one that tries and fails."""
    match outcome:
        case Unauthorised(message):
            return replace(begun, reachable=True, authorised=False, reason=f"the token was refused ({message})")
        case NotNow(message):
            return replace(begun, reachable=begun.reachable or outcome.reached, reason=message)
        case Dropped(message):
            return replace(begun, reachable=True, reason=f"the connection broke ({message})")
        case PageFailed() | TryFailed():
            found = f"{outcome.code}: {outcome.message}"
            return replace(begun, reachable=True, reason=found, request_id=outcome.request_id)
    raise AssertionError(f"{outcome} is not handled")
