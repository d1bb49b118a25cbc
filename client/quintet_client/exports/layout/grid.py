"""Rows and columns from the positions of lines: tables as far as they can be told."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median_high
from typing import cast

from quintet_client.api.results import Line, QuadPx
from quintet_client.exports.layout.blocks import box_around

# Two columns lie at least this share of a line's height apart. Detected lines reach over their ink by a third of their
# height on each side: words of one cell that were detected apart touch.
_GAP = 0.1
# What no more rows cover bridges columns (a total's label, a heading over two) and is none itself.
_BAND_ROWS = 0.25
# In a table most rows have several cells; a list with a few numbers beside it is none.
_FULL_ROWS = 0.6


def straightened(lines: Sequence[Line]) -> list[Line]:
    """Turn lines so that the middle one of their angles becomes level: on a skewed page rows run into each other."""
    edges = [line.quad_px[:2] for line in lines]
    turn = -median_high([math.atan2(y1 - y0, x1 - x0) for (x0, y0), (x1, y1) in edges]) if edges else 0.0
    cos, sin = math.cos(turn), math.sin(turn)
    return [
        replace(line, quad_px=cast("QuadPx", tuple((cos * x - sin * y, sin * x + cos * y) for x, y in line.quad_px)))
        for line in lines
    ]


def in_rows(lines: Sequence[Line]) -> list[list[Line]]:
    """Group lines of an upright page, in their order: one that is beside the line before it continues its row.

    Beside it is what has its centre at most half the smaller height away: the rule by which the service orders lines.
    """
    rows: list[list[Line]] = []
    for line in lines:
        before = rows[-1][-1] if rows else None
        if before and abs(_centre_y(before) - _centre_y(line)) <= min(_height(before), _height(line)) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return rows


def table_of(lines: Sequence[Line]) -> list[list[str]] | None:
    """Tell the cells of a table from its lines on an upright page, which may be skewed.

    Columns are the bands in which more than a quarter of the rows with several cells have one. Rows have equally many
    cells, some empty, and every line is in one; None if there are no two columns and two rows, or most rows have one.
    """
    lines = straightened(lines)
    rows = [sorted(row, key=lambda line: box_around(line.quad_px)[0]) for row in in_rows(sorted(lines, key=_centre_y))]
    full = [row for row in rows if len(row) > 1]
    if len(rows) < 2 or len(full) < _FULL_ROWS * len(rows):
        return None
    bands = _bands(full, _GAP * median_high(map(_height, lines)))
    if len(bands) < 2:
        return None
    return [_cells(row, bands) for row in rows]


def _bands(rows: Sequence[Sequence[Line]], gap_px: float) -> list[tuple[float, float]]:
    """Find the columns: where enough of the rows have ink, cut where a gap is wide enough."""
    extents = [box_around(line.quad_px) for row in rows for line in row]
    edges = sorted([(x0, 1) for x0, _y0, _x1, _y1 in extents] + [(x1, -1) for _x0, _y0, x1, _y1 in extents])
    too_few = _BAND_ROWS * len(rows)
    bands: list[tuple[float, float]] = []
    covering, start = 0, None
    for x, step in edges:
        covering += step
        if covering > too_few and start is None:
            start = x
        elif covering <= too_few and start is not None:
            if bands and start - bands[-1][1] < gap_px:
                start = bands.pop()[0]
            bands.append((start, x))
            start = None
    return bands


def _cells(row: Sequence[Line], bands: Sequence[tuple[float, float]]) -> list[str]:
    """Put each line of a row into the column it overlaps most."""
    cells: list[list[str]] = [[] for _ in bands]
    for line in row:
        x0, _y0, x1, _y1 = box_around(line.quad_px)
        overlaps = [min(x1, end) - max(x0, start) for start, end in bands]
        cells[overlaps.index(max(overlaps))].append(line.text)
    return [" ".join(texts) for texts in cells]


def _height(line: Line) -> float:
    _x0, y0, _x1, y1 = box_around(line.quad_px)
    return y1 - y0


def _centre_y(line: Line) -> float:
    _x0, y0, _x1, y1 = box_around(line.quad_px)
    return (y0 + y1) / 2
