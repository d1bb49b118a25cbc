"""The tables of a run: one row a page, a line, a word. `csv` writes them as RFC 4180 has them, with a header."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import BinaryIO, Literal, NamedTuple

from quintet_client.exports.documents import DocumentPage
from quintet_client.input.page_ids import document_of

Value = str | int | float | None


class Column(NamedTuple):
    """One column; `optional` ones are empty where a page has nothing to say."""

    name: str
    kind: Literal["text", "integer", "number"]
    optional: bool = False


_CORNERS = tuple(Column(f"{axis}{corner}_px", "number") for corner in range(4) for axis in "xy")
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
    *_CORNERS,
)
WORD_COLUMNS = (
    Column("page_id", "text"),
    Column("line", "integer"),
    Column("word", "integer"),
    Column("text", "text"),
    Column("score", "number"),
    *_CORNERS,
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
        yield (page.page_id, place, line.text, line.score, line.region, label, *chain(*line.quad_px))


def word_rows(page: DocumentPage) -> Iterator[tuple[Value, ...]]:
    """Yield the rows of the words that the service saw, in the order of `WORD_COLUMNS`; none are estimated."""
    for place, line in enumerate(page.page.lines if page.page else ()):
        for number, word in enumerate(line.words):
            yield (page.page_id, place, number, word.text, word.score, *chain(*word.quad_px))


# Of each table the columns and the rows of a page.
TABLES: tuple[tuple[Sequence[Column], Callable[[DocumentPage], Iterable[tuple[Value, ...]]]], ...] = (
    (PAGE_COLUMNS, lambda page: [page_row(page)]),
    (LINE_COLUMNS, line_rows),
    (WORD_COLUMNS, word_rows),
)


def write(pages: Iterable[DocumentPage], *files: BinaryIO) -> None:
    """Write the `TABLES` as CSV in UTF-8, row by row; what a page has nothing to say about is empty."""
    texts = [io.TextIOWrapper(file, encoding="utf-8", newline="") for file in files]
    tables = list(zip(map(csv.writer, texts), TABLES, strict=True))
    for table, (columns, _) in tables:
        table.writerow(column.name for column in columns)
    for page in pages:
        for table, (_, rows_of) in tables:
            table.writerows(rows_of(page))
    for text in texts:
        text.detach()  # flushed, and left for the caller to close
