"""`parquet`: the tables of a run for pandas, DuckDB, Spark and their like."""

from collections.abc import Iterable, Sequence
from typing import BinaryIO

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from quintet_client.exports.documents import DocumentPage
from quintet_client.exports.formats.tables import LINE_COLUMNS, PAGE_COLUMNS, Column, Value, line_rows, page_row

# Rows that are in memory at a time; a reader can skip the others of a group by its statistics.
_GROUP_ROWS = 16_384
_KINDS = {"text": pa.string(), "integer": pa.int32(), "number": pa.float64()}


def write(pages: Iterable[DocumentPage], page_file: BinaryIO, line_file: BinaryIO) -> None:
    """Write both tables, row group by row group."""
    page_rows, lines = list[tuple[Value, ...]](), list[tuple[Value, ...]]()
    with _writer(page_file, PAGE_COLUMNS) as page_table, _writer(line_file, LINE_COLUMNS) as line_table:
        for page in pages:
            page_rows.append(page_row(page))
            lines += line_rows(page)
            for table, rows in ((page_table, page_rows), (line_table, lines)):
                if len(rows) >= _GROUP_ROWS:
                    _write_group(table, rows)
        _write_group(page_table, page_rows)
        _write_group(line_table, lines)


def _writer(file: BinaryIO, columns: Sequence[Column]) -> ParquetWriter:
    fields = [pa.field(column.name, _KINDS[column.kind], nullable=column.optional) for column in columns]
    return ParquetWriter(file, pa.schema(fields), compression="zstd")


def _write_group(table: ParquetWriter, rows: list[tuple[Value, ...]]) -> None:
    columns = list(zip(*rows, strict=True)) or [()] * len(table.schema)
    table.write_table(pa.table(dict(zip(table.schema.names, columns, strict=True)), table.schema))
    rows.clear()
