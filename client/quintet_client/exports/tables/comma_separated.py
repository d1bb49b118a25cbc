"""`csv`: the tables of a run as RFC 4180 has them, in UTF-8, with a header."""

import csv
from collections.abc import Iterable
from pathlib import Path

from quintet_client.exports.documents import DocumentPage
from quintet_client.exports.tables.columns import LINE_COLUMNS, PAGE_COLUMNS, line_rows, page_row


def write_tables(pages: Iterable[DocumentPage], pages_path: Path, lines_path: Path) -> None:
    """Write both tables, row by row; what a page has nothing to say about is empty.

    Raises:
        OSError: one of them cannot be written.
    """
    with (
        pages_path.open("w", encoding="utf-8", newline="") as page_file,
        lines_path.open("w", encoding="utf-8", newline="") as line_file,
    ):
        page_table, line_table = csv.writer(page_file), csv.writer(line_file)
        page_table.writerow(column.name for column in PAGE_COLUMNS)
        line_table.writerow(column.name for column in LINE_COLUMNS)
        for page in pages:
            page_table.writerow(page_row(page))
            line_table.writerows(line_rows(page))
