"""`QuintetClient`: one page's bytes in, a typed result or a typed error out. For other services; needs no torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quintet_client.delivery import Delivery, Patience
from quintet_client.errors import PageError
from quintet_client.outcomes import Answered, PageFailed
from quintet_client.settings import DEFAULT_SERVER, DEFAULT_TIMEOUT_S
from quintet_client.tokens import FixedToken, TokenFile
from quintet_client.transport import HttpTransport, Item

PointPx = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Region:
    """A region of the layout; pixels of the image as a viewer shows it."""

    label: str
    score: float
    box_px: tuple[float, ...]  # x0, y0, x1, y1


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text; its corners run clockwise from the text's own top-left."""

    text: str
    score: float
    quad_px: tuple[PointPx, ...]  # 4 corners
    region: int | None  # index into `Page.regions`


@dataclass(frozen=True, slots=True)
class Page:
    """What was read; regions and lines in reading order. Fields that a newer server adds are in `document`."""

    request_id: str
    model: str
    width_px: int
    height_px: int
    angle_deg: int  # how far the content is turned clockwise: 0, 90, 180 or 270
    angle_score: float
    regions: tuple[Region, ...]
    lines: tuple[Line, ...]
    text: str
    document: Mapping[str, Any]


class QuintetClient:
    """Reads pages through a Quintet service; safe to share between threads."""

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        token_file: Path | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: int = 3,
        give_up_s: float = 30.0,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            server: base URL of the inference address.
            token_file: plain token or TorchServe's key_file.json; None sends no token.
            timeout_s: longest silence of the server within one request.
            retries: tries a page has before a fault of its own is its error.
            give_up_s: longest time without reaching the server.

        Raises:
            UsageError: the URL is none, or the token file holds no token.
        """
        tokens = TokenFile(token_file) if token_file else FixedToken()
        self._give_up_s = give_up_s
        self._timeout_s = timeout_s
        self._retries = retries
        self._transport = HttpTransport(server, tokens, timeout_s)

    def read(self, image: bytes) -> Page:
        """Read one page.

        Args:
            image: one encoded image (JPEG, PNG, TIFF, WebP or BMP).

        Raises:
            PageError: this page cannot be read; its `code` says why.
            ServerUnreachableError: the server was not there for `give_up_s`.
            NotAuthorisedError: the server refused the token.
        """
        patience = Patience(self._give_up_s, self._timeout_s)
        delivered = Delivery(self._transport, patience, self._retries).deliver(Item("page", image))
        if delivered is None:  # only a `wait` that abandons work can bring this about, and ours never does
            raise AssertionError("a page was abandoned")
        if isinstance(delivered.outcome, PageFailed):
            raise PageError(delivered.outcome.code, delivered.outcome.message)
        return parse_page(delivered.outcome)


def parse_page(answer: Answered) -> Page:
    """Turn an answer into a typed page; unknown fields are left alone.

    Raises:
        PageError: a field of the documented schema is missing or of another kind (code BAD_ANSWER).
    """
    document = json.loads(answer.document)
    try:
        return Page(
            request_id=answer.request_id,
            model=answer.model,
            width_px=int(document["width_px"]),
            height_px=int(document["height_px"]),
            angle_deg=int(document["orientation"]["angle_deg"]),
            angle_score=float(document["orientation"]["score"]),
            regions=tuple(_region(region) for region in document["regions"]),
            lines=tuple(_line(line) for line in document["lines"]),
            text=str(document["text"]),
            document=document,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PageError("BAD_ANSWER", f"the answer does not follow quintet.page/1: {error!r}") from error


def _region(region: Mapping[str, Any]) -> Region:
    return Region(str(region["label"]), float(region["score"]), tuple(float(edge) for edge in region["box_px"]))


def _line(line: Mapping[str, Any]) -> Line:
    quad = tuple((float(x), float(y)) for x, y in line["quad_px"])
    return Line(str(line["text"]), float(line["score"]), quad, line.get("region"))
