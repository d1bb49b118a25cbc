"""Parquet files: of images in rows, or manifests whose rows name files; their schema decides.

A row's image is read with its row group, as the format has no other way; the group read last is kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from quintet_client.errors import QuintetError, UsageError
from quintet_client.input.addresses import Address, is_address
from quintet_client.input.regular_files import open_regular
from quintet_client.input.source import Part, Source
from quintet_client.input.stores.objects import object_file
from quintet_client.service.page import UNKNOWN, FileStamp

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.parquet import ParquetFile

URI, ID = "uri", "id"
_KEYS = (ID, "__key__", "key", "name")
# Of the images of one row group, unpacked. A loader holds them, and while it reads them their packed bytes beside.
MOST_GROUP_BYTES = 512 * 1024 * 1024
# What `quintet` itself writes, which is no input.
_OUR_OWN = {"page_id", "state", "code"}
_ROWS_AT_A_TIME = 16_384


class UnreadableParquetError(Exception):
    """The file, or a row group, cannot be read; the message says why."""


class GroupTooLargeError(Exception):
    """A row group has more bytes than are held in memory."""


class Columns(NamedTuple):
    """What the columns of a file are for; the names are empty of those that are not there."""

    uri: str = ""
    image: str = ""  # of bytes, or of structs of `bytes` and whatever else
    key: str = ""
    fault: str = ""  # why there are neither URIs nor images to be read
    is_ambiguous: bool = False  # there would be several columns of images


def columns_of(schema: "Schema") -> Columns:
    """Decide by its schema what a file is."""
    import pyarrow as pa  # noqa: PLC0415 - only Parquet needs it

    def is_text(name: str) -> bool:
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

    def is_image(kind: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
        if pa.types.is_struct(kind):
            return any(field.name == "bytes" and is_image(field.type) for field in kind)
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    names = schema.names
    if set(names) >= _OUR_OWN:
        return Columns(fault="results of Quintet, which are no input")
    if URI in names and is_text(URI):
        return Columns(uri=URI, key=ID if ID in names else "")
    keys = (key for key in _KEYS if key in names and (is_text(key) or pa.types.is_integer(schema.field(key).type)))
    images = [field.name for field in schema if is_image(field.type)]
    if len(images) != 1:
        found = f"{len(images)} columns of bytes" if images else "no column of bytes and none of text named uri"
        there = ", ".join(f"{field.name} ({field.type})" for field in schema)
        return Columns(fault=f"{found} (of {there[:500]})", is_ambiguous=bool(images))
    return Columns(image=images[0], key=next(keys, ""))


@contextmanager
def open_parquet(path: str) -> Iterator[tuple["ParquetFile", FileStamp]]:
    """Open a file, or an object at an address; yields it with the state that it has.

    Raises:
        UsageError: pyarrow is missing.
        OSError, ServerUnreachableError: the file cannot be read.
        UnreadableParquetError: it is none, or damaged.
    """
    if find_spec("pyarrow") is None:
        raise UsageError("Parquet files need pyarrow, which is not installed: pip install 'quintet[stores]'")
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - as above

    if is_address(path):
        opened = object_file(Address.of(path))
        file, stamp = cast("BinaryIO", opened), opened.stamp
    else:
        file, stamp = open_regular(path)
    with file, _arrow_faults():
        yield ParquetFile(file, pre_buffer=False), stamp


@contextmanager
def _arrow_faults() -> Iterator[None]:
    """Arrow's codecs raise many types on damaged input, OSError among them, which then has no words of the system's."""
    try:
        yield
    except (QuintetError, GroupTooLargeError, UnreadableParquetError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise
        raise UnreadableParquetError(f"it is no Parquet file, or damaged ({type(error).__name__})") from None


def rows_of(file: "ParquetFile", names: list[str]) -> Iterator[tuple[Part, list[Any]]]:
    """Yield the rows with their values in some columns."""
    for group in range(file.num_row_groups):
        if not names:
            yield from ((Part(group, row), []) for row in range(file.metadata.row_group(group).num_rows))
            continue
        place = 0
        batches = file.iter_batches(_ROWS_AT_A_TIME, row_groups=[group], columns=names, use_threads=False)
        for batch in batches:
            for values in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
                yield Part(group, place), list(values)
                place += 1


class Rows:
    """Images out of rows; keeps the row group read last, as its neighbours come next."""

    def __init__(self) -> None:
        self._place: tuple[str, int] | None = None
        self._stamp = UNKNOWN
        self._group: Any = None  # the images of the group, or the fault that it has

    def read(self, source: Source) -> tuple[bytes, FileStamp]:
        """Return the bytes of a row, and the state of its file.

        Raises:
            OSError, ServerUnreachableError, UnreadableParquetError, GroupTooLargeError: why there are none.
        """
        group, row = source.part or Part(0, 0)
        if self._place != (source.path, group):
            self._group = None  # before the next one takes its memory
            try:
                self._stamp, self._group = _images_of(source.path, group)
            except (OSError, UnreadableParquetError, GroupTooLargeError) as error:
                self._group = error  # its other rows need not try
            self._place = (source.path, group)
        if isinstance(self._group, Exception):
            raise self._group
        value = self._group[row].as_py() if row < len(self._group) else None
        value = value.get("bytes") if isinstance(value, dict) else value
        return value or b"", self._stamp


def _images_of(path: str, group: int) -> tuple[FileStamp, Any]:
    """Read the images of a row group."""
    with open_parquet(path) as (file, stamp):
        name = columns_of(file.schema_arrow).image
        leaf = _bytes_column(file, group, name)
        if leaf.total_uncompressed_size > MOST_GROUP_BYTES:
            raise GroupTooLargeError(
                f"the images of its row group have {leaf.total_uncompressed_size} bytes; at most {MOST_GROUP_BYTES} "
                "are held in memory: write the file with smaller row groups"
            )
        return stamp, file.read_row_group(group, columns=[leaf.path_in_schema], use_threads=False).column(name)


def _bytes_column(file: "ParquetFile", group: int, name: str) -> Any:  # noqa: ANN401 - as above
    """Where the images of a row group are, among its leaves."""
    found = file.metadata.row_group(group)
    leaves = (found.column(place) for place in range(found.num_columns))
    return next(leaf for leaf in leaves if leaf.path_in_schema in {name, f"{name}.bytes"})
