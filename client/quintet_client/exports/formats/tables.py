"""The tables of a run: one row a page, one row a line. `csv` writes them as RFC 4180 has them, with a header."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Literal, NamedTuple

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
    *(Column(name, "text", optional=True) for name in ("code", "message", "model")),
    *(Column(name, "integer", optional=True) for name in ("width_px", "height_px", "angle_deg")),
    Column("angle_score", "number", optional=True),
    *(Column(name, "integer", optional=True) for name in ("regions", "lines")),
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


def write(pages: Iterable[DocumentPage], page_file: BinaryIO, line_file: BinaryIO) -> None:
    """Write both tables as CSV in UTF-8, row by row; what a page has nothing to say about is empty."""
    texts = [io.TextIOWrapper(file, encoding="utf-8", newline="") for file in (page_file, line_file)]
    page_table, line_table = map(csv.writer, texts)
    page_table.writerow(column.name for column in PAGE_COLUMNS)
    line_table.writerow(column.name for column in LINE_COLUMNS)
    for page in pages:
        page_table.writerow(page_row(page))
        line_table.writerows(line_rows(page))
    for text in texts:
        text.detach()  # flushed, and left for the caller to close
