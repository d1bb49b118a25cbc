"""Cells of the tables on one page: rows and columns from the positions of lines, as far as they can be told.

Layout says where tables are; columns are the bands of the page that enough rows have ink in. Plain Python on the host,
like `columns`: a table has at most four times as many cells as lines.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median_high

from quintet.pages.results.columns import Box, height_of

Row = list[list[int]]  # cells from left to right, of each the places of its lines

# Two columns lie at least this share of a line's height apart. Detected lines reach over their ink by a third of their
# height on each side: words of one cell that were detected apart touch.
_GAP = 0.1
# What no more rows cover bridges columns (a total's label, a heading over two) and is none itself.
_BAND_ROWS = 0.25
# In a table most rows have several cells; a list with a few numbers beside it is none.
_FULL_ROWS = 0.6
# A head is at most so many times as far from its table as the table's rows are from one another.
_HEAD_STEPS = 1.5
_NO_HEADS = frozenset({"header", "footer", "table"})


def tables_of(
    boxes_px: Sequence[Box], regions: Sequence[int | None], labels: Sequence[str | None]
) -> list[tuple[int, list[Row]]]:
    """The tables whose cells can be told, each as its region and its rows, all with equally many cells, some empty.

    A table is what stands in its region and its head, from the first to the last row with several cells. Where other
    lines are read amidst it, where it is read in columns, or where most rows have one cell, it cannot be told.

    Args:
        boxes_px: x0, y0, x1, y1 of each line on the levelled page, in reading order.
        regions: the layout region of each line; None for none.
        labels: the label of that region.
    """
    last = {region: place for place, region in enumerate(regions)}
    tables = []
    start = 0
    while start < len(boxes_px):
        region, end = regions[start], start + 1
        if region is not None and labels[start] == "table":
            end = last[region] + 1
            # Layout takes the cells of a head, all or some, for captions.
            if all(regions[n] == region or labels[n] == "table_caption" for n in range(start, end)):
                cells = _cells(boxes_px, _with_head(boxes_px, labels, _rows(boxes_px, range(start, end))))
                tables += [(region, cells)] if cells else []
        start = end
    return tables


def _rows(boxes_px: Sequence[Box], places: Sequence[int]) -> list[list[int]]:
    """Lines in rows, by the rule of `reading_order.in_rows`; none if they are not read from top to bottom."""
    rows: list[list[int]] = [[places[0]]]
    for before, place in pairwise(places):
        if _beside(boxes_px[before], boxes_px[place]):
            rows[-1].append(place)
        elif _centre(boxes_px[before]) < _centre(boxes_px[place]):
            rows.append([place])
        else:
            return []
    return rows


def _with_head(boxes_px: Sequence[Box], labels: Sequence[str | None], rows: list[list[int]]) -> list[list[int]]:
    """A table's rows with what is read right before them: the rest of the first, and a head of several cells.

    A head is about as near as the rows are to one another.
    """
    if len(rows) < 2:
        return rows
    begin = _row_start(boxes_px, labels, rows[0][0])
    if begin < rows[0][0] and _beside(boxes_px[begin], boxes_px[rows[0][0]]):
        rows = [[*range(begin, rows[0][0]), *rows[0]], *rows[1:]]
        begin = _row_start(boxes_px, labels, begin)
    end = rows[0][0]
    steps = [_centre(boxes_px[lower[0]]) - _centre(boxes_px[upper[0]]) for upper, lower in pairwise(rows)]
    step = _centre(boxes_px[end]) - _centre(boxes_px[begin])
    is_head = end - begin > 1 and 0 < step <= _HEAD_STEPS * median_high(steps)
    return [list(range(begin, end)), *rows] if is_head else rows


def _row_start(boxes_px: Sequence[Box], labels: Sequence[str | None], end: int) -> int:
    """Where the row read right before `end` begins; `end` if that is a header's, a footer's or another table's."""
    start = end
    while start and labels[start - 1] not in _NO_HEADS and (start == end or _beside(*boxes_px[start - 1 : start + 1])):
        start -= 1
    return start


def _cells(boxes_px: Sequence[Box], rows: Sequence[list[int]]) -> list[Row]:
    """The cells of a table's rows; none if there are no two columns and two rows, or most rows have one cell."""
    full = [number for number, row in enumerate(rows) if len(row) > 1]
    rows = rows[full[0] : full[-1] + 1] if full else []
    if len(rows) < 2 or len(full) < _FULL_ROWS * len(rows):
        return []
    ink = [[boxes_px[place] for place in row] for row in rows if len(row) > 1]
    bands = _bands(ink, _GAP * median_high(height_of(box) for row in ink for box in row))
    return [_in_bands(boxes_px, row, bands) for row in rows] if len(bands) > 1 else []


def _bands(rows: Sequence[Sequence[Box]], gap_px: float) -> list[tuple[float, float]]:
    """The columns: where enough of the rows have ink, cut where a gap is wide enough."""
    edges = sorted(edge for row in rows for x0, _y0, x1, _y1 in row for edge in ((x0, 1), (x1, -1)))
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


def _in_bands(boxes_px: Sequence[Box], row: Sequence[int], bands: Sequence[tuple[float, float]]) -> Row:
    """The lines of a row, each in the column that it overlaps most."""
    cells: Row = [[] for _ in bands]
    for place in row:
        x0, _y0, x1, _y1 = boxes_px[place]
        overlaps = [min(x1, end) - max(x0, start) for start, end in bands]
        cells[overlaps.index(max(overlaps))].append(place)
    return cells


def _beside(box: Box, other: Box) -> bool:
    return abs(_centre(box) - _centre(other)) <= min(height_of(box), height_of(other)) / 2


def _centre(box: Box) -> float:
    return (box[1] + box[3]) / 2
