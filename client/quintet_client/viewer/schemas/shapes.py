"""What is drawn over a picture, whatever was looked for in it."""

from dataclasses import dataclass
from typing import Literal

from quintet_client.api.results import BoxPx, PointPx


@dataclass(frozen=True, slots=True)
class Shape:
    """One polygon."""

    kind: Literal["region", "line"]  # filled in the colour of its label, or outlined
    label: str
    title: str  # what is said when a pointer rests on it
    points_px: tuple[PointPx, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A result to look at, in pixels of its picture as it is, not turned upright."""

    width_px: int
    height_px: int
    shapes: tuple[Shape, ...]
    said: str  # what there is, in a few words
    text: str = ""  # what was read; empty where nothing reads
    angle_deg: int = 0  # how far its content is turned clockwise: 0, 90, 180 or 270


def counted(count: int, noun: str) -> str:
    """Say how many there are."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def corners_of(box_px: BoxPx) -> tuple[PointPx, ...]:
    """The corners of a box, clockwise."""
    x0, y0, x1, y1 = box_px
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
