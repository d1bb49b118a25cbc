"""`parquet`: the tables of a run for pandas, DuckDB, Spark and their like."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from quintet_client.exports.documents import DocumentPage
from quintet_client.exports.tables.columns import LINE_COLUMNS, PAGE_COLUMNS, Column, Value, line_rows, page_row

# Rows that are in memory at a time; a reader can skip the others of a group by its statistics.
_GROUP_ROWS = 16_384
_KINDS = {"text": pa.string(), "integer": pa.int32(), "number": pa.float64()}


def write_tables(pages: Iterable[DocumentPage], pages_path: Path, lines_path: Path) -> None:
    """Write both tables, row group by row group.

    Raises:
        OSError: one of them cannot be written.
    """
    with _Table(pages_path, PAGE_COLUMNS) as page_table, _Table(lines_path, LINE_COLUMNS) as line_table:
        for page in pages:
            page_table.add([page_row(page)])
            line_table.add(line_rows(page))


class _Table:
    """One Parquet file in the making."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        fields = [pa.field(column.name, _KINDS[column.kind], nullable=column.optional) for column in columns]
        self._schema = pa.schema(fields)
        self._path = path
        self._rows: list[tuple[Value, ...]] = []
        self._stack = ExitStack()

    def __enter__(self) -> "_Table":
        self._writer = self._stack.enter_context(ParquetWriter(self._path, self._schema, compression="zstd"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._stack.__exit__(kind, error, trace)

    def add(self, rows: Iterable[tuple[Value, ...]]) -> None:
        self._rows += rows
        if len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        columns = list(zip(*self._rows, strict=True)) or [()] * len(self._schema)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows = []
