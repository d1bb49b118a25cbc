"""What was read on a page, as frozen records: the documented fields, and in `extra` whatever a newer server adds.

Frame of all coordinates: pixels of the image as a viewer shows it, before page orientation is undone.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from quintet_client.errors import PageError
from quintet_client.service.outcomes import Answered, Final, PageFailed

PointPx = tuple[float, float]
BoxPx = tuple[float, float, float, float]  # x0, y0, x1, y1
QuadPx = tuple[PointPx, PointPx, PointPx, PointPx]  # clockwise from the text's own top left
T = TypeVar("T")


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
class Line:
    """A line of text, which is never empty."""

    text: str
    score: float  # mean probability of its characters
    quad_px: QuadPx
    region: int | None = None  # index into `PageResult.regions`; None outside of all of them
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
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


def result_of(outcome: Final) -> PageResult:
    """The page that was read; raises PageError if it could not be read, or the answer is not as documented."""
    if isinstance(outcome, PageFailed):
        raise PageError(outcome.code, outcome.message, outcome.request_id)
    return parse_page(outcome)


def parse_page(answer: Answered) -> PageResult:
    """Type an answer; raises PageError (BAD_ANSWER) if a documented field is missing or of another type."""
    try:
        return _page(answer, _Fields(json.loads(answer.document), "the answer"))
    except (TypeError, ValueError) as error:
        raise PageError("BAD_ANSWER", f"not a page as documented: {error}", answer.request_id) from error


class _Fields:
    """An object of the answer: each field is taken once, with its type checked; `left` is what remains."""

    def __init__(self, value: object, name: str) -> None:
        self.left: dict[str, Any] = dict(_checked(value, dict, name))
        self.name = name

    def take(self, name: str, kind: type[T]) -> T:
        if name not in self.left:
            raise ValueError(f"{self.name} has no {name}")
        return _checked(self.left.pop(name), kind, f"{name} of {self.name}")

    def take_number(self, name: str) -> float:
        return _number(self.take(name, object), f"{name} of {self.name}")

    def take_each(self, name: str, parse: "Callable[[_Fields], T]") -> tuple[T, ...]:
        items = self.take(name, list)
        return tuple(parse(_Fields(item, f"{name}[{number}]")) for number, item in enumerate(items))


def _page(answer: Answered, fields: _Fields) -> PageResult:
    fields.take("schema", str)
    fields.take("model", str)
    return PageResult(
        request_id=answer.request_id,
        model=answer.model,
        width_px=fields.take("width_px", int),
        height_px=fields.take("height_px", int),
        orientation=_orientation(_Fields(fields.take("orientation", dict), "orientation")),
        regions=fields.take_each("regions", _region),
        lines=fields.take_each("lines", _line),
        text=fields.take("text", str),
        extra=fields.left,
    )


def _orientation(fields: _Fields) -> Orientation:
    return Orientation(fields.take("angle_deg", int), fields.take_number("score"), fields.left)


def _region(fields: _Fields) -> Region:
    x0, y0, x1, y1 = _numbers(fields.take("box_px", object), 4, f"box_px of {fields.name}")
    return Region(fields.take("label", str), fields.take_number("score"), (x0, y0, x1, y1), fields.left)


def _line(fields: _Fields) -> Line:
    corners = fields.take("quad_px", list)
    if len(corners) != 4:
        raise ValueError(f"quad_px has {len(corners)} corners, not 4")
    first, second, third, fourth = (_point(corner) for corner in corners)
    region = fields.left.pop("region", None)
    return Line(
        text=fields.take("text", str),
        score=fields.take_number("score"),
        quad_px=(first, second, third, fourth),
        region=None if region is None else _checked(region, int, f"region of {fields.name}"),
        extra=fields.left,
    )


def _point(value: object) -> PointPx:
    x, y = _numbers(value, 2, "a corner of quad_px")
    return x, y


def _numbers(value: object, count: int, name: str) -> tuple[float, ...]:
    values = _checked(value, list, name)
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} numbers, not {count}")
    return tuple(_number(number, name) for number in values)


def _number(value: object, name: str) -> float:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else _checked(value, float, name)


def _checked(value: object, kind: type[T], name: str) -> T:
    # To Python a bool is an int; to JSON it is not a number.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{name} is {str(value)[:50]!r}, not {kind.__name__}")
    return value
