"""`parquet`: the tables of a run for pandas, DuckDB, Spark and their like."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import BinaryIO

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from quintet_client.exports.documents import DocumentPage
from quintet_client.exports.formats.tables import TABLES, Column, Value

# Rows that are in memory at a time; a reader can skip the others of a group by its statistics.
_GROUP_ROWS = 16_384
_KINDS = {"text": pa.string(), "integer": pa.int32(), "number": pa.float64()}


def write(pages: Iterable[DocumentPage], *files: BinaryIO) -> None:
    """Write the `TABLES`, row group by row group."""
    with ExitStack() as opened:
        tables = [
            (opened.enter_context(_writer(file, columns)), rows_of, list[tuple[Value, ...]]())
            for file, (columns, rows_of) in zip(files, TABLES, strict=True)
        ]
        for page in pages:
            for table, rows_of, rows in tables:
                rows.extend(rows_of(page))
                if len(rows) >= _GROUP_ROWS:
                    _write_group(table, rows)
        for table, _, rows in tables:
            _write_group(table, rows)


def _writer(file: BinaryIO, columns: Sequence[Column]) -> ParquetWriter:
    fields = [pa.field(column.name, _KINDS[column.kind], nullable=column.optional) for column in columns]
    return ParquetWriter(file, pa.schema(fields), compression="zstd")


def _write_group(table: ParquetWriter, rows: list[tuple[Value, ...]]) -> None:
    columns = list(zip(*rows, strict=True)) or [()] * len(table.schema)
    table.write_table(pa.table(dict(zip(table.schema.names, columns, strict=True)), table.schema))
    rows.clear()
