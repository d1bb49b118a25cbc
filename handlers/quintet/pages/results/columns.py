"""Columns of text on one page: which lines are read before which, where rows across the page would mix them up.

A page is a stack of bands; a band is one row, or columns that stand side by side. Two things must hold for columns: a
gutter that no line crosses, and prose, or an address, on both sides of it. A table has gutters too, but its cells are
read in rows.

Source of the cuts: G. Nagy and S. Seth, Hierarchical Representation of Optically Scanned Documents (ICPR 1984), known
as the XY-cut; that prose decides which way to cut is ours. Plain Python on the host, since it sees a few dozen boxes
after the batch's one copy, and only on pages where prose stands beside prose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import median

Box = Sequence[float]

# Lengths in heights of a line's box, which is about 1.3 times the size of the type.
_GUTTER = 0.4
_PROSE_WIDTH = 6.0
# Layout takes narrow columns for a table now and then; cells as long as these are rare.
_PROSE_WIDTH_IN = {"table": 9.0, "header": inf, "footer": inf}
_PROSE_PITCH = 1.7
# Fewer lines are no column: a form's label has one.
_PROSE_LINES = 2
# An address has a name and at least two lines more, some with numbers in them: a street's, a postal code. A column of
# labels has none, a column of a table's numbers nothing else.
_ADDRESS_LINES = 3
_ADDRESS_NUMBERS = 2 / 3
# Bands over the first line of prose: a heading of two lines, or a figure's caption and a heading.
_MOST_HEADINGS = 2
# Columns are looked for over so many rows: a page has fewer, and what is made to have more must not take long.
_MOST_BANDS = 300


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that stay together, one or all cells of a table, and the box around them on the levelled page."""

    lines: tuple[int, ...]  # their numbers, in rows
    x0: float
    y0: float
    x1: float
    y1: float
    is_prose: bool = False  # whether it is a line of running text


@dataclass(frozen=True, slots=True)
class _Column:
    """Blocks between two gutters."""

    x0: float
    x1: float
    blocks: tuple[Block, ...]

    def is_prose(self) -> bool:
        """Whether running text is at least half of what stands here; a table counts as one thing."""
        prose = sum(block.is_prose for block in self.blocks)
        return prose >= _PROSE_LINES and 2 * prose >= len(self.blocks)


def column_order(
    boxes_px: Sequence[Box], regions: Sequence[int | None], labels: Sequence[str | None], texts: Sequence[str]
) -> list[int]:
    """The lines of one page in reading order: in rows where there are no columns.

    Args:
        boxes_px: x0, y0, x1, y1 of each line on the levelled page; lines in rows, as `in_rows` has them.
        regions: the layout region each line stands in; None for none.
        labels: the label of that region.
        texts: what each line says.
    """
    addresses = _addresses(boxes_px, regions, labels, texts)
    prose = [number in addresses or is_prose for number, is_prose in enumerate(_prose(boxes_px, labels))]
    text = [box for box, is_prose in zip(boxes_px, prose, strict=True) if is_prose]
    if not text or max(box[0] for box in text) <= min(box[2] for box in text):
        return list(range(len(boxes_px)))  # no prose stands beside prose
    gutter_px = _GUTTER * median(map(height_of, boxes_px))
    tables = [region if label == "table" else None for region, label in zip(regions, labels, strict=True)]
    blocks = _blocks(_crossing_margins(boxes_px, labels, text), tables, prose)
    return [number for block in _order(blocks, gutter_px) for number in block.lines]


def region_order(
    region_boxes_px: Sequence[Box], line_boxes_px: Sequence[Box], region_of: Sequence[int | None]
) -> list[int]:
    """The regions of one page in the order of their lines; one without lines comes before the line under it.

    Args:
        region_boxes_px: x0, y0, x1, y1 of each region.
        line_boxes_px: of each line, in reading order.
        region_of: each line's region; None for none.
    """
    first = {region: place for place, region in reversed(list(enumerate(region_of)))}

    def rank(region: int) -> tuple[int, float]:
        x0, y0, x1, y1 = region_boxes_px[region]
        if region in first:
            return first[region], y0
        below = (place for place, b in enumerate(line_boxes_px) if b[1] > (y0 + y1) / 2 and b[0] < x1 and x0 < b[2])
        return next(below, len(line_boxes_px)), y0

    return sorted(range(len(region_boxes_px)), key=rank)


def _crossing_margins(boxes_px: Sequence[Box], labels: Sequence[str | None], text: Sequence[Box]) -> list[Box]:
    """The lines' boxes; headers over all text and footers under it reach across the page: no column holds them."""
    top, bottom = min(box[1] for box in text), max(box[3] for box in text)
    return [
        (-inf, box[1], inf, box[3])
        if (label == "header" and box[3] <= top) or (label == "footer" and box[1] >= bottom)
        else box
        for box, label in zip(boxes_px, labels, strict=True)
    ]


def _prose(boxes_px: Sequence[Box], labels: Sequence[str | None]) -> list[bool]:
    """Which lines are running text: long ones close under one another, and the short line that ends a paragraph.

    Under text a table's lines need be no longer than others.
    """
    least = [_PROSE_WIDTH_IN.get(label or "", _PROSE_WIDTH) for label in labels]
    widths = [(box[2] - box[0]) / height_of(box) if height_of(box) else 0.0 for box in boxes_px]
    long = [width >= wanted for width, wanted in zip(widths, least, strict=True)]
    neighbours = _neighbours(boxes_px)
    text = {number for pair in neighbours if all(long[number] for number in pair) for number in pair}
    for upper, lower in neighbours:  # from top to bottom
        if upper in text and widths[lower] >= _PROSE_WIDTH and least[lower] < inf:
            text.add(lower)
    ends = {lower for upper, lower in neighbours if upper in text and least[lower] < inf}
    return [number in text or number in ends for number in range(len(boxes_px))]


def _addresses(
    boxes_px: Sequence[Box], regions: Sequence[int | None], labels: Sequence[str | None], texts: Sequence[str]
) -> set[int]:
    """The lines of addresses and the like: regions of text with one line a row, some with numbers and some without."""
    stacks: dict[int, list[int]] = {}
    for number, (region, label) in enumerate(zip(regions, labels, strict=True)):
        if region is not None and label == "text":
            stacks.setdefault(region, []).append(number)
    found = set[int]()
    for stack in stacks.values():
        numbers = sum(any(map(str.isdigit, texts[number])) for number in stack)
        steps = [
            (boxes_px[lower][1] - boxes_px[upper][1], height_of(boxes_px[upper])) for upper, lower in pairwise(stack)
        ]
        is_close = all(height / 2 < step <= _PROSE_PITCH * height for step, height in steps)
        if len(stack) >= _ADDRESS_LINES and is_close and 0 < numbers <= _ADDRESS_NUMBERS * len(stack):
            found.update(stack)
    return found


def _neighbours(boxes_px: Sequence[Box]) -> list[tuple[int, int]]:
    """Pairs of an upper and a lower line, over some of the same width and as near as a paragraph's lines."""
    pairs = []
    down = sorted(range(len(boxes_px)), key=lambda number: boxes_px[number][1])
    for place, upper in enumerate(down):
        x0, y0, x1, _y1 = boxes_px[upper]
        height = height_of(boxes_px[upper])
        for lower in down[place + 1 :]:
            step = boxes_px[lower][1] - y0
            if step > _PROSE_PITCH * height:
                break
            if step > height / 2 and min(x1, boxes_px[lower][2]) - max(x0, boxes_px[lower][0]) > height:
                pairs.append((upper, lower))
    return pairs


def height_of(box: Box) -> float:
    """In pixels."""
    return box[3] - box[1]


def _blocks(boxes_px: Sequence[Box], tables: Sequence[int | None], prose: Sequence[bool]) -> list[Block]:
    """Lines as blocks half as high as they are, so that neighbouring rows stay apart; a table's lines as one.

    Layout may see a part of a table only, or a table in narrow columns: a line beside it, or prose in it, tells.
    """
    cells: dict[int, list[int]] = {}
    middles = []  # of single lines that are no prose
    for number, (box, table) in enumerate(zip(boxes_px, tables, strict=True)):
        if table is not None:
            cells.setdefault(table, []).append(number)
        elif not prose[number]:
            middles.append((box[1] + box[3]) / 2)
    blocks = []
    for numbers in cells.values():
        left, top, right, bottom = zip(*(boxes_px[number] for number in numbers), strict=True)
        block = Block(tuple(numbers), min(left), min(top), max(right), max(bottom))
        if not any(prose[number] for number in numbers) and not any(block.y0 < y < block.y1 for y in middles):
            blocks.append(block)
    held = {number for block in blocks for number in block.lines}
    for number, (x0, y0, x1, y1) in enumerate(boxes_px):
        if number not in held:
            inset = (y1 - y0) / 4
            blocks.append(Block((number,), x0, y0 + inset, x1, y1 - inset, prose[number]))
    return blocks


def _order(blocks: Sequence[Block], gutter_px: float) -> list[Block]:
    """Blocks band by band, each band column by column."""
    ordered: list[Block] = []
    bands = _bands(blocks)
    while bands:
        count, columns = _columns_at_the_top(bands, gutter_px)
        ordered += [block for column in columns for block in _order(column.blocks, gutter_px)]
        ordered += [] if count else sorted(bands[0], key=lambda block: block.lines)
        bands = bands[max(count, 1) :]
    return ordered


def _bands(blocks: Sequence[Block]) -> list[list[Block]]:
    """Blocks from top to bottom, those together that share a height of the page."""
    bands: list[list[Block]] = []
    bottom = float("-inf")
    for block in sorted(blocks, key=lambda block: block.y0):
        if block.y0 >= bottom:
            bands.append([])
        bands[-1].append(block)
        bottom = max(bottom, block.y1)
    return bands


def _columns_at_the_top(bands: Sequence[Sequence[Block]], gutter_px: float) -> tuple[int, list[_Column]]:
    """How many bands from the top make columns together, the most that do, and these columns; 0 and none if none do.

    Columns begin with their headings and end with prose, so that rows of a table over or under them stay rows.
    """
    count, found = 0, list[_Column]()
    columns: list[_Column] = []
    if not any(block.is_prose for band in bands[: 1 + _MOST_HEADINGS] for block in band):
        return count, found
    for number, band in enumerate(bands[:_MOST_BANDS], start=1):
        for block in band:
            columns = _with(columns, block, gutter_px)
        if len(columns) == 1 and number > 1:
            break
        ends_here = len(columns) > 1 and any(block.is_prose for block in band)
        if ends_here and all(column.is_prose() for column in columns):
            count, found = number, columns
    return count, found


def _with(columns: Sequence[_Column], block: Block, gutter_px: float) -> list[_Column]:
    """The columns from left to right with one more block, which joins all that it comes near."""
    near = [c for c in columns if c.x0 < block.x1 + gutter_px and block.x0 < c.x1 + gutter_px]
    blocks = [*(member for column in near for member in column.blocks), block]
    left, right = min(member.x0 for member in blocks), max(member.x1 for member in blocks)
    joined = _Column(left, right, tuple(blocks))
    return sorted([*(c for c in columns if c not in near), joined], key=lambda column: column.x0)
