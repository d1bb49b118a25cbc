"""What was found in a photo, as frozen records.

Frame of all coordinates: pixels of the photo as a viewer shows it, EXIF orientation applied.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from quintet_client.api.results import BoxPx, PointPx
from quintet_client.errors import PageError

# Beyond it readers of JSON disagree on integers; no coordinate comes near.
_MOST = 2**53


@dataclass(frozen=True, slots=True)
class Face:
    """A face."""

    box_px: BoxPx
    score: float
    points_px: tuple[PointPx, ...]  # left eye, right eye, nose, corners of the mouth, as seen


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo; without faces and texts there are none to hide."""

    width_px: int
    height_px: int
    nudity: float  # probability
    faces: tuple[Face, ...]
    texts: tuple[tuple[PointPx, ...], ...]  # the corners of each


def photo_of(document: Mapping[str, Any]) -> Photo:
    """Type a result of quintet.photo/1; raises PageError (BAD_ANSWER) if it is not as documented."""
    try:
        width_px, height_px = (int(_number(document[name])) for name in ("width_px", "height_px"))
        nudity = _number(document["nudity"])
        faces = tuple(map(_face, document["faces"]))
        texts = tuple(_points(text["quad_px"], 4) for text in document["texts"])
    except (ValueError, TypeError, LookupError) as error:  # something else than the objects and lists it should be
        raise PageError("BAD_ANSWER", f"not a photo as documented: {type(error).__name__}: {error}") from error
    return Photo(width_px, height_px, nudity, faces, texts)


def _face(face: Mapping[str, Any]) -> Face:
    x0, y0, x1, y1 = map(_number, face["box_px"])
    return Face((x0, y0, x1, y1), _number(face["score"]), _points(face["points_px"], 5))


def _points(points: Iterable[Iterable[object]], count: int) -> tuple[PointPx, ...]:
    found = tuple((_number(x), _number(y)) for x, y in points)
    if len(found) != count:
        raise ValueError(f"{len(found)} points instead of {count}")
    return found


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < _MOST:
        raise ValueError(f"{value!r} is no number")
    return float(value)
