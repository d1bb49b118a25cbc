"""A part: one row an item, with its end and, if it was read, its result."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import BinaryIO, NamedTuple

import pyarrow as pa
from pyarrow import parquet

from quintet_client.output.ledger import Ended, Row

GONE = "gone"  # the state of an item that OUTPUT shall not hold any more
_ROW = [
    pa.field("page_id", pa.string(), nullable=False),
    pa.field("state", pa.string(), nullable=False),
    pa.field("tries", pa.int32(), nullable=False),
    pa.field("code", pa.string(), nullable=False),
    pa.field("message", pa.string(), nullable=False),
    pa.field("size_bytes", pa.int64(), nullable=False),
    pa.field("mtime_ns", pa.int64(), nullable=False),
    pa.field("output_bytes", pa.int64(), nullable=False),
    pa.field("request_id", pa.string(), nullable=False),
]
_END = [
    pa.field("model", pa.string(), nullable=False),
    pa.field("read_at", pa.string(), nullable=False),  # ISO 8601, UTC
]
# What the index takes stands before what is long, so that a store is asked for one range of it.
_LONG = [pa.field("text", pa.string()), pa.field("result", pa.string())]
SCHEMA = pa.schema([*_ROW, *_END, *_LONG], metadata={"quintet.schema": "quintet.part/1"})
assert [field.name for field in _ROW] == list(Row._fields)  # noqa: S101 - a part holds what the ledger holds


class IndexRow(NamedTuple):
    """What the index takes of an item."""

    row: Row
    model: str
    read_at: str


def encode_part(items: Sequence[Ended]) -> bytes:
    """Return a part as a Parquet file of one row group: a kill leaves all of it or nothing."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    rows = [(*item.row, item.model, now, _text_of(item.document), item.document.decode() or None) for item in items]
    columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
    table = pa.table(dict(zip(SCHEMA.names, columns, strict=True)), SCHEMA)
    target = io.BytesIO()
    parquet.write_table(table, target, compression="zstd", row_group_size=max(1, len(items)))
    return target.getvalue()


def read_index(file: BinaryIO) -> list[IndexRow]:
    """Read what the index takes of a part, in its order; raises OSError or ValueError if it is no part."""
    names = [field.name for field in (*_ROW, *_END)]
    table = parquet.ParquetFile(file).read(columns=names).cast(pa.schema([*_ROW, *_END]))
    columns = [table.column(name).to_pylist() for name in names]
    width = len(_ROW)
    return [IndexRow(Row(*values[:width]), *values[width:]) for values in zip(*columns, strict=True)]


def read_results(file: BinaryIO) -> pa.ChunkedArray:
    """Read the results of a part, in its order."""
    return parquet.ParquetFile(file).read(columns=["result"]).column("result")


def _text_of(document: bytes) -> str | None:
    text = json.loads(document).get("text") if document else None
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else None
