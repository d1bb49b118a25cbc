"""Which region a line is shown with, where the layout's regions cut through what the reading order keeps together."""

from collections import Counter
from dataclasses import replace

from quintet_client.api.results import Line, PageResult, Region
from quintet_client.exports.layout.blocks import box_around
from quintet_client.exports.layout.rows import in_rows, is_running_text, straightened

_PLACED_BY_LABEL = frozenset({"header", "footer"})
# A column of cells has two lines at least; a title of one line may have a date beside it.
_HEADINGS = frozenset({"title", "figure_caption", "table_caption"})


def settled(page: PageResult) -> PageResult:
    """Return an upright page with its lines in the regions that they are shown with.

    A table's head is in the table. A figure around most of the page's text, or around text of other regions, is a
    frame: its label becomes "text". Regions most of whose lines are read in one row with lines of others, such as a
    form's labels and its values, lose them; running text keeps its own, whatever stands beside it.
    """
    lines = list(page.lines)
    for table in page.tables:
        for place in (place for row in table.rows for cell in row for place in cell):
            lines[place] = replace(lines[place], region=table.region)
    cut = _cut_by_rows(lines, page.regions) - {table.region for table in page.tables}
    regions = tuple(
        replace(region, label="text")
        if region.label == "figure" and (number in cut or _is_frame(number, region, page))
        else region
        for number, region in enumerate(page.regions)
    )
    loose = (replace(line, region=None) if line.region in cut else line for line in lines)
    return replace(page, regions=regions, lines=tuple(loose))


def _is_frame(number: int, figure: Region, page: PageResult) -> bool:
    own, others = 0, 0
    for line in page.lines:
        if not _holds(figure, line):
            continue
        if line.region == number:
            own += len(line.text)
        elif line.region is None or page.regions[line.region].label != "figure_caption":
            others += len(line.text)
    return others > own or 2 * (own + others) >= sum(len(line.text) for line in page.lines) > 0


def _holds(region: Region, line: Line) -> bool:
    x0, y0, x1, y1 = box_around(line.quad_px)
    left, top, right, bottom = region.box_px
    return left <= (x0 + x1) / 2 <= right and top <= (y0 + y1) / 2 <= bottom


def _cut_by_rows(lines: list[Line], regions: tuple[Region, ...]) -> set[int]:
    """The regions most of whose lines are in one row with lines of others, none of them running text."""
    own: dict[int, list[Line]] = {}
    for line in lines:
        if line.region is not None:
            own.setdefault(line.region, []).append(line)
    whole = {
        number
        for number, members in own.items()
        if regions[number].label in _PLACED_BY_LABEL or (len(members) > 2 and is_running_text(members))
    }
    shared = Counter[int]()
    for row in in_rows(straightened(lines)):
        beside = {line.region for line in row} - whole
        if len(beside) > 1:
            shared.update(line.region for line in row if line.region is not None and line.region in beside)
    return {
        number
        for number, count in shared.items()
        if 2 * count > len(own[number]) and (count > 1 or regions[number].label not in _HEADINGS)
    }
