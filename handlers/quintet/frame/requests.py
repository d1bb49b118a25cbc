"""What requests carry and how they are answered: a body, a frame of many, or a document of pages. Knows no server.

A page may stand in a frame by its slice of a shared buffer, and a frame may ask where buffers are taken, or what the
service takes. A batch of requests becomes one flat list of pages for the chain, and the outcomes find their way back.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from quintet.errors import HTTP_STATUS, Code, Failure
from quintet.frame import forms, frames
from quintet.frame.chain import Body, Outcome
from quintet.frame.choices import EVERYTHING, Choice
from quintet.frame.documents import SCHEMA, Document
from quintet.frame.frames import BufferSlice, Kind
from quintet.frame.shared_memory.buffers import SharedBuffers

_JSON = "application/json"
# Two thirds of TorchServe's max_response_size: it takes a worker with a longer answer for a broken one.
MOST_DOCUMENT_BYTES = 42 << 20
_TOO_LONG = Failure(
    Code.DOCUMENT_TOO_LONG, f"the answer has {MOST_DOCUMENT_BYTES} bytes before this page: ask for fewer pages"
)


@dataclass(frozen=True)
class Request:
    """One request."""

    request_id: str  # the client's, or one made for it
    items: tuple[Body | Outcome, ...] = ()  # its pages; of those that need not be read, the outcome
    packed: bool = False  # whether they came in a frame, and so does the answer
    refusal: Failure | None = None  # why the request as a whole is refused; then it has no items
    choice: Choice = EVERYTHING  # what its pages are read without
    document: Document | None = None  # whose pages its items are

    @property
    def bodies(self) -> list[Body]:
        """The pages to read."""
        return [item for item in self.items if not isinstance(item, Failure | dict)]

    @property
    def body_bytes(self) -> int:
        """Of what it sent to be read."""
        sent = [self.document.body] if self.document else self.bodies
        return sum(len(body) for body in sent if isinstance(body, bytes))

    @property
    def failures(self) -> list[Failure]:
        """Pages that have failed before anything is read; the answer to a question is no page's."""
        early = [item for item in self.items if isinstance(item, Failure)]
        return [failure for failure in early if failure.code is not Code.SHARED_MEMORY_OFF]

    def outcomes(self, read: Iterator[Outcome]) -> list[Outcome]:
        """The outcome of every item, in order, of which those of the bodies are taken from `read`."""
        return [item if isinstance(item, Failure | dict) else next(read) for item in self.items]

    def refused(self, refusal: Failure) -> Self:
        """The same request without its pages."""
        return type(self)(self.request_id, packed=self.packed, refusal=refusal)


@dataclass(frozen=True)
class Batch:
    """Bodies that the chain is called with together, all of them asked for alike."""

    bodies: Sequence[Body]
    places: Sequence[int]  # of each among the bodies of all requests
    choice: Choice


@dataclass(frozen=True)
class Reply:
    """The answer to one request, as HTTP has it."""

    status: int
    phrase: str
    content_type: str
    body: bytes
    headers: Mapping[str, str]


def parse_request(
    body: bytes | bytearray,
    content_type: str | None,
    request_id: str,
    buffers: SharedBuffers,
    limits: Mapping[str, object],
    choice: Choice | Failure = EVERYTHING,
    *,
    open_document: Callable[[bytes], Document | Failure | None] = lambda _body: None,
) -> Request:
    """Look into one request; what cannot be read becomes its refusal.

    Of a form the body is a field; slices are looked up in the buffers, and who asks is told the limits. A body that is
    a document is its pages.
    """
    if isinstance(choice, Failure):
        return Request(request_id, refusal=choice)
    if not frames.is_packed(content_type):
        whole = forms.body_of(body, content_type or "") if forms.is_form(content_type) else bytes(body)
        return _unpacked(whole, request_id, choice, open_document)
    try:
        return Request(request_id, tuple(_items(body, buffers, limits)), packed=True, choice=choice)
    except frames.FrameError as error:
        return Request(request_id, packed=True, refusal=Failure(Code.INVALID_PARAMETER, str(error)))


def _unpacked(
    body: bytes | Failure, request_id: str, choice: Choice, open_document: Callable[[bytes], Document | Failure | None]
) -> Request:
    match body if isinstance(body, Failure) else open_document(body):
        case None:
            return Request(request_id, (body,), choice=choice)
        case Failure() as refusal:
            return Request(request_id, refusal=refusal)
        case document:
            return Request(request_id, tuple(document.pages.values()), choice=choice, document=document)


def _items(frame: bytes | bytearray, buffers: SharedBuffers, limits: Mapping[str, object]) -> Sequence[Body | Outcome]:
    """What a frame holds, by its kind; FrameError if that is none that is sent to a service."""
    match frames.kind_of(frame):
        case Kind.SLICES:
            pages = frames.unpack_slices(frame)
            return [buffers.find(page) if isinstance(page, BufferSlice) else page for page in pages]
        case Kind.BUFFERS:
            frames.check_question(Kind.BUFFERS, frame)
            return [buffers.invitation()]
        case Kind.LIMITS:
            frames.check_question(Kind.LIMITS, frame)
            return [{"schema": "quintet.limits/1", **limits}]
    return frames.unpack_pages(frame)


class Pace:
    """How long a page takes, by the batches of lately."""

    # Until something has been read: a slow CPU. A GPU's first batches are small for it.
    FIRST_S_PER_PAGE = 0.5

    def __init__(self) -> None:
        self._s_per_page = self.FIRST_S_PER_PAGE

    def note(self, pages: int, seconds: float) -> None:
        """Take note of a batch; half of what counts is the latest."""
        if pages:
            self._s_per_page += (seconds / pages - self._s_per_page) / 2

    def pages_within(self, seconds: float) -> int:
        """How many pages take so long."""
        return int(seconds / max(self._s_per_page, 1e-6))


def admit(requests: Sequence[Request], pages_at_once: int) -> list[Request]:
    """The requests, those beyond `pages_at_once` refused as BUSY; the first is never refused."""
    busy = Failure(Code.BUSY, f"{pages_at_once} pages are being read already: send these again in a moment")
    admitted, pages = [], 0
    for request in requests:
        fits = not pages or pages + len(request.bodies) <= pages_at_once
        admitted.append(request if fits else request.refused(busy))
        pages += len(request.bodies) if fits else 0
    return admitted


def batches_of(requests: Sequence[Request], most: int) -> list[Batch]:
    """The bodies of all requests in their order, those asked for alike together, at most `most` in a batch."""
    alike: dict[Choice, list[tuple[int, Body]]] = {}
    every = ((request.choice, body) for request in requests for body in request.bodies)
    for place, (choice, body) in enumerate(every):
        alike.setdefault(choice, []).append((place, body))
    return [
        Batch([body for _, body in some], [place for place, _ in some], choice)
        for choice, placed in alike.items()
        for start in range(0, len(placed), most)
        if (some := placed[start : start + most])
    ]


def in_order(batches: Sequence[Batch], outcomes: Sequence[Sequence[Outcome]]) -> list[Outcome]:
    """The outcomes of batches in the order of the requests' bodies."""
    placed = {
        place: outcome
        for batch, found in zip(batches, outcomes, strict=True)
        for place, outcome in zip(batch.places, found, strict=True)
    }
    return [placed[place] for place in range(len(placed))]


def respond(
    requests: Sequence[Request], outcomes: Sequence[Outcome], head: Callable[[Choice], Mapping[str, str]]
) -> list[Reply]:
    """Answer the requests with the outcomes of all their pages, one a body, in the order of the requests.

    Results begin with the `head` of what was asked for: schema and model.
    """
    left = iter(outcomes)
    return [_respond_to(request, request.outcomes(left), head(request.choice)) for request in requests]


def _respond_to(request: Request, outcomes: Sequence[Outcome], head: Mapping[str, str]) -> Reply:
    if request.refusal is None and request.document is not None:
        return Reply(200, "OK", _JSON, _of_document(request.request_id, request.document, outcomes, head), {})
    if request.refusal is not None or not request.packed:
        return _reply(request.refusal or outcomes[0], request.request_id, head)
    replies = [_reply(outcome, f"{request.request_id}.{number}", head) for number, outcome in enumerate(outcomes)]
    frame = frames.pack_answers([frames.Answer(reply.status, reply.body) for reply in replies])
    return Reply(200, "OK", frames.MEDIA_TYPE, frame, {})


def _of_document(request_id: str, document: Document, outcomes: Sequence[Outcome], head: Mapping[str, str]) -> bytes:
    """Every page with its result or its error; those that would make the answer too long have an error for it."""
    pages: list[bytes] = []
    size = 0
    for number, outcome in zip(document.pages, outcomes, strict=True):
        answer = _dumped(_page(number, outcome, f"{request_id}.{number}", head))
        if size + len(answer) > MOST_DOCUMENT_BYTES:
            answer = _dumped(_page(number, _TOO_LONG, f"{request_id}.{number}", head))
        size += len(answer)
        pages.append(answer)
    about = {"schema": SCHEMA, "request_id": request_id, "model": head["model"], "page_count": document.page_count}
    return b'%s,"pages":[%s]}' % (_dumped(about)[:-1], b",".join(pages))


def _page(number: int, outcome: Outcome, request_id: str, head: Mapping[str, str]) -> dict[str, Any]:
    said = _said(outcome, request_id, head)
    return {"page": number, **(said if isinstance(outcome, Failure) else {"result": said})}


def _reply(outcome: Outcome, request_id: str, head: Mapping[str, str]) -> Reply:
    """The answer to one page, the same whether it came alone or in a frame."""
    body = _dumped(_said(outcome, request_id, head))
    if isinstance(outcome, Failure):
        headers = {"Retry-After": "1"} if outcome.code is Code.BUSY else {}
        return Reply(HTTP_STATUS[outcome.code], outcome.code.value, _JSON, body, headers)
    return Reply(200, "OK", _JSON, body, {})


def _said(outcome: Outcome, request_id: str, head: Mapping[str, str]) -> dict[str, Any]:
    """An outcome as the JSON object of its answer."""
    if isinstance(outcome, Failure):
        return {"error": {"code": outcome.code.value, "message": outcome.message, "request_id": request_id}}
    return {"schema": head["schema"], "request_id": request_id, "model": head["model"], **outcome}


def _dumped(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
