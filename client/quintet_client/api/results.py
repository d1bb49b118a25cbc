"""What was read of a page, as frozen records: fields of the documented form, and whatever a newer server adds beside.

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
    """A line of text.

    Attributes:
        text: never empty.
        score: mean probability of its characters.
        quad_px: its corners, clockwise from the text's own top left.
        region: index into `PageResult.regions`; None outside of all of them.
        extra: fields that this client does not know.
    """

    text: str
    score: float
    quad_px: QuadPx
    region: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class PageResult:
    """A page; regions and lines in reading order. A page without text has no lines.

    Attributes:
        request_id: what the server's log calls the request.
        model: fingerprint of weights and settings: equal fingerprints, comparable results.
        width_px: of the image as a viewer shows it.
        height_px: likewise.
        orientation: of the content.
        regions: of the layout.
        lines: of text.
        text: the lines joined by newlines.
        extra: fields that this client does not know.
    """

    request_id: str
    model: str
    width_px: int
    height_px: int
    orientation: Orientation
    regions: tuple[Region, ...]
    lines: tuple[Line, ...]
    text: str
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


def result_of(outcome: Final) -> PageResult:
    """The page that was read.

    Raises:
        PageError: it could not be read, or the answer is not as documented.
    """
    if isinstance(outcome, PageFailed):
        raise PageError(outcome.code, outcome.message, outcome.request_id)
    return parse_page(outcome)


def parse_page(answer: Answered) -> PageResult:
    """Turn an answer into a typed page.

    Raises:
        PageError: a field of the documented form is missing or of another type (code BAD_ANSWER).
    """
    try:
        return _page(answer, _Fields(json.loads(answer.document), "the answer"))
    except (TypeError, ValueError) as error:
        raise PageError("BAD_ANSWER", f"not a page as documented: {error}", answer.request_id) from error


class _Fields:
    """An object of the answer: each field is taken once, with its type checked; what is left is extra."""

    def __init__(self, value: object, name: str) -> None:
        self._left = dict(_checked(value, dict, name))
        self._name = name

    def take(self, name: str, kind: type[T]) -> T:
        """One field that must be there."""
        if name not in self._left:
            raise ValueError(f"{self._name} has no {name}")
        return _checked(self._left.pop(name), kind, f"{name} of {self._name}")

    def take_number(self, name: str) -> float:
        """One number, whole or not."""
        return _number(self.take(name, object), f"{name} of {self._name}")

    def take_numbers(self, name: str, count: int) -> tuple[float, ...]:
        """A list of so many numbers."""
        return _numbers(self.take(name, object), count, f"{name} of {self._name}")

    def take_each(self, name: str, parse: "Callable[[_Fields], T]") -> tuple[T, ...]:
        """A list of objects."""
        items = self.take(name, list)
        return tuple(parse(_Fields(item, f"{name}[{number}]")) for number, item in enumerate(items))

    def take_optional(self, name: str, kind: type[T]) -> T | None:
        """One field that may be null or missing."""
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return None
        return self.take(name, kind)

    def rest(self) -> dict[str, Any]:
        """What nobody took."""
        return self._left


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
        extra=fields.rest(),
    )


def _orientation(fields: _Fields) -> Orientation:
    return Orientation(fields.take("angle_deg", int), fields.take_number("score"), fields.rest())


def _region(fields: _Fields) -> Region:
    x0, y0, x1, y1 = fields.take_numbers("box_px", 4)
    return Region(fields.take("label", str), fields.take_number("score"), (x0, y0, x1, y1), fields.rest())


def _line(fields: _Fields) -> Line:
    corners = fields.take("quad_px", list)
    if len(corners) != 4:
        raise ValueError(f"quad_px has {len(corners)} corners, not 4")
    first, second, third, fourth = (_point(corner) for corner in corners)
    return Line(
        text=fields.take("text", str),
        score=fields.take_number("score"),
        quad_px=(first, second, third, fourth),
        region=fields.take_optional("region", int),
        extra=fields.rest(),
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
