"""What the tables of a run hold: one row a page, one row a line, column by column."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from quintet_client.exports.documents import DocumentPage
from quintet_client.input.page_ids import document_of

Value = str | int | float | None


class Column(NamedTuple):
    """One column; `optional` ones are empty where a page has nothing to say."""

    name: str
    kind: Literal["text", "integer", "number"]
    optional: bool = False


PAGE_COLUMNS = (
    Column("page_id", "text"),
    Column("document", "text"),
    Column("page", "integer"),
    Column("state", "text"),
    Column("code", "text", optional=True),
    Column("message", "text", optional=True),
    Column("model", "text", optional=True),
    Column("width_px", "integer", optional=True),
    Column("height_px", "integer", optional=True),
    Column("angle_deg", "integer", optional=True),
    Column("angle_score", "number", optional=True),
    Column("regions", "integer", optional=True),
    Column("lines", "integer", optional=True),
    Column("text", "text", optional=True),
)
LINE_COLUMNS = (
    Column("page_id", "text"),
    Column("line", "integer"),
    Column("text", "text"),
    Column("score", "number"),
    Column("region", "integer", optional=True),
    Column("label", "text", optional=True),
    *(Column(f"{axis}{corner}_px", "number") for corner in range(4) for axis in "xy"),
)


def page_row(page: DocumentPage) -> tuple[Value, ...]:
    """Return a page's row, in the order of `PAGE_COLUMNS`."""
    head = (page.page_id, document_of(page.page_id), page.number, page.state, page.code or None, page.message or None)
    read = page.page
    if read is None:
        return (*head, *[None] * (len(PAGE_COLUMNS) - len(head)))
    size = (read.width_px, read.height_px, read.orientation.angle_deg, read.orientation.score)
    return (*head, read.model, *size, len(read.regions), len(read.lines), read.text)


def line_rows(page: DocumentPage) -> Iterator[tuple[Value, ...]]:
    """Yield the rows of a page's lines in reading order, in the order of `LINE_COLUMNS`."""
    if page.page is None:
        return
    for place, line in enumerate(page.page.lines):
        label = None if line.region is None else page.page.regions[line.region].label
        corners = (edge for point in line.quad_px for edge in point)
        yield (page.page_id, place, line.text, line.score, line.region, label, *corners)
