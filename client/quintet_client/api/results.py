"""What was read on a page, as frozen records: the documented fields, and in `extra` whatever a newer server adds.

Results of other schemas stay the JSON objects that they are.

Frame of all coordinates: pixels of the image as a viewer shows it, before page orientation is undone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from quintet_client.errors import PageError
from quintet_client.service.documents import DOCUMENT_SCHEMA, PAGE_FIELDS, PAGE_SCHEMA, check_page, parsed
from quintet_client.service.outcomes import Answered, Final, PageFailed

PointPx = tuple[float, float]
BoxPx = tuple[float, float, float, float]  # x0, y0, x1, y1
QuadPx = tuple[PointPx, PointPx, PointPx, PointPx]  # clockwise from the text's own top left


@dataclass(frozen=True, slots=True)
class Orientation:
    """How far the content is turned clockwise (0, 90, 180 or 270 degrees), and how sure that is."""

    angle_deg: int
    score: float
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Region:
    """A region of the layout."""

    label: str
    score: float
    box_px: BoxPx
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a line: what stands between white space."""

    text: str
    score: float  # mean probability of its characters
    quad_px: QuadPx
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, which is never empty."""

    text: str
    score: float  # mean probability of its characters
    quad_px: QuadPx
    region: int | None = None  # index into `PageResult.regions`; None outside of all of them
    words: tuple[Word, ...] = ()  # from the text's start to its end; none if the service leaves them out
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose cells could be told, a head outside its region too; every row has equally many cells."""

    region: int  # index into `PageResult.regions`
    rows: tuple[tuple[tuple[int, ...], ...], ...]  # of each cell its lines, indices into `PageResult.lines`
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class PageResult:
    """A page; regions and lines in reading order. A page without text has no lines."""

    request_id: str  # of the request in the server's log
    model: str  # fingerprint of weights and settings: equal fingerprints, comparable results
    width_px: int  # of the image as a viewer shows it
    height_px: int
    orientation: Orientation
    regions: tuple[Region, ...]
    lines: tuple[Line, ...]
    text: str  # the lines joined by newlines
    tables: tuple[Table, ...] = ()
    left_out: tuple[str, ...] = ()  # stages that the page was read without
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class DocumentResult:
    """The pages of a document that were asked for, in order: each with its number and its result or its error."""

    request_id: str  # of the request in the server's log; a page's has its number behind it
    model: str  # as of a page
    page_count: int  # of the document
    pages: tuple[tuple[int, "Result | PageError"], ...]


# Of quintet.page/1 the page, of another schema the JSON object as a dict: which it is depends on the model that was
# asked. A type checker lets the fields of both be used.
Result: TypeAlias = PageResult | Any


def result_of(outcome: Final) -> Result:
    """What was read; raises PageError if it could not be, or the answer to a page is not as documented (BAD_ANSWER)."""
    answered, document = _answer_of(outcome)
    return _result(answered, document)


def document_of(outcome: Final) -> DocumentResult:
    """What was read of a document; an image is a document of one page. Raises as `result_of`."""
    answered, document = _answer_of(outcome)
    if document.get("schema") != DOCUMENT_SCHEMA:
        return DocumentResult(answered.request_id, answered.model, 1, ((1, _result(answered, document)),))
    pages = tuple((page["page"], _result_or_error(page)) for page in document["pages"])
    return DocumentResult(answered.request_id, answered.model, document["page_count"], pages)


def _answer_of(outcome: Final) -> tuple[Answered, dict[str, Any]]:
    """What was answered, with its JSON; raises PageError if it is no answer, or not JSON."""
    if isinstance(outcome, PageFailed):
        raise PageError(outcome.code, outcome.message, outcome.request_id)
    try:
        return outcome, parsed(outcome.document)
    except ValueError as error:
        raise _no_page(error, outcome.request_id) from error


def _result(answered: Answered, document: dict[str, Any]) -> Result:
    if document.get("schema") == PAGE_SCHEMA:
        return page_of(document, answered.request_id, answered.model)
    return {**document, "request_id": answered.request_id}


def _result_or_error(page: Mapping[str, Any]) -> "Result | PageError":
    if (result := page.get("result")) is None:
        return PageError(*(str(page["error"].get(name, "")) for name in ("code", "message", "request_id")))
    typed = result["schema"] == PAGE_SCHEMA
    return page_of(result, str(result.get("request_id", "")), result["model"]) if typed else result


def page_of(page: Mapping[str, Any], request_id: str = "", model: str = "") -> PageResult:
    """Type a page that has been read out of JSON; raises PageError (BAD_ANSWER) if it is not as documented."""
    try:
        check_page(page)
    except ValueError as error:
        raise _no_page(error, request_id) from error
    turn = page["orientation"]
    return PageResult(
        request_id=request_id,
        model=model,
        width_px=page["width_px"],
        height_px=page["height_px"],
        orientation=Orientation(turn["angle_deg"], float(turn["score"]), _others(turn, "angle_deg", "score")),
        regions=tuple(map(_region, page["regions"])),
        lines=tuple(map(_line, page["lines"])),
        text=page["text"],
        tables=tuple(map(_table, page.get("tables", ()))),
        left_out=tuple(page.get("left_out", ())),
        extra=_others(page, "schema", "model", "request_id", "tables", "left_out", *PAGE_FIELDS),
    )


def _no_page(error: ValueError, request_id: str) -> PageError:
    return PageError("BAD_ANSWER", f"not a page as documented: {error}", request_id)


def _region(region: Mapping[str, Any]) -> Region:
    x0, y0, x1, y1 = map(float, region["box_px"])
    return Region(
        region["label"], float(region["score"]), (x0, y0, x1, y1), _others(region, "label", "score", "box_px")
    )


def _line(line: Mapping[str, Any]) -> Line:
    return Line(
        line["text"],
        float(line["score"]),
        _quad(line["quad_px"]),
        line.get("region"),
        tuple(map(_word, line.get("words", ()))),
        _others(line, "text", "score", "quad_px", "region", "words"),
    )


def _table(table: Mapping[str, Any]) -> Table:
    rows = tuple(tuple(map(tuple, row)) for row in table["rows"])
    return Table(table["region"], rows, _others(table, "region", "rows"))


def _word(word: Mapping[str, Any]) -> Word:
    return Word(word["text"], float(word["score"]), _quad(word["quad_px"]), _others(word, "text", "score", "quad_px"))


def _quad(corners: Iterable[Iterable[float]]) -> QuadPx:
    first, second, third, fourth = ((float(x), float(y)) for x, y in corners)
    return (first, second, third, fourth)


def _others(value: Mapping[str, Any], *known: str) -> dict[str, Any]:
    """The fields of a newer server."""
    return {name: found for name, found in value.items() if name not in known}
