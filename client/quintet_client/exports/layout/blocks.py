"""The lines of a page by layout region, in reading order: what structured formats are made of."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar, cast

from quintet_client.api.results import BoxPx, Line, PageResult, PointPx, QuadPx, Word

Text = TypeVar("Text", Line, Word)


@dataclass(frozen=True, slots=True)
class Block:
    """Lines in reading order: those of a region, maybe none, or some outside all regions, labelled "text"."""

    label: str
    region: int | None  # index into the page's regions
    box_px: BoxPx
    lines: tuple[Line, ...]


def blocks_of(page: PageResult) -> tuple[Block, ...]:
    """Group a page's lines: a region's lines at the place of its first one, neighbours without a region together.

    Every line is in exactly one block. Regions without lines come before the next region in reading order.
    """
    first: dict[int | None, int] = {}
    for place, line in enumerate(page.lines):
        if line.region is not None:
            first.setdefault(line.region, place)
    places = sorted(range(len(page.lines)), key=lambda place: first.get(page.lines[place].region, place))
    lines = (page.lines[place] for place in places)
    groups = [(region, tuple(group)) for region, group in groupby(lines, key=lambda line: line.region)]
    for region in range(len(page.regions)):
        if region not in first:
            after = (place for place, (other, _) in enumerate(groups) if other is not None and other > region)
            groups.insert(next(after, len(groups)), (region, ()))
    return tuple(_block(page, region, lines) for region, lines in groups)


def box_around(points: Iterable[PointPx]) -> BoxPx:
    """Return the smallest upright box around at least one point."""
    xs, ys = zip(*points, strict=True)
    return (min(xs), min(ys), max(xs), max(ys))


def turned_upright(page: PageResult) -> PageResult:
    """Return the page as if its content had been scanned upright; boxes and quads follow."""
    if not page.orientation.angle_deg:
        return page

    def turned(text: Text) -> Text:
        return replace(text, quad_px=cast("QuadPx", tuple(_upright(page, point) for point in text.quad_px)))

    size_px = (page.width_px, page.height_px)
    width_px, height_px = size_px[::-1] if page.orientation.angle_deg in {90, 270} else size_px
    regions = tuple(
        replace(region, box_px=box_around([_upright(page, region.box_px[:2]), _upright(page, region.box_px[2:])]))
        for region in page.regions
    )
    lines = tuple(replace(turned(line), words=tuple(map(turned, line.words))) for line in page.lines)
    orientation = replace(page.orientation, angle_deg=0)
    return replace(page, width_px=width_px, height_px=height_px, orientation=orientation, regions=regions, lines=lines)


def _block(page: PageResult, region: int | None, lines: tuple[Line, ...]) -> Block:
    if region is None:
        return Block("text", None, box_around(point for line in lines for point in line.quad_px), lines)
    return Block(page.regions[region].label, region, page.regions[region].box_px, lines)


def _upright(page: PageResult, point: PointPx) -> PointPx:
    x, y = point
    match page.orientation.angle_deg:
        case 90:
            return (y, page.width_px - x)
        case 180:
            return (page.width_px - x, page.height_px - y)
        case 270:
            return (page.height_px - y, x)
        case _:
            return point
