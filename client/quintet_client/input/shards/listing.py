"""What shards and manifests hold, as sources; several at a time, as stores are slow to begin to answer."""

import os
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any, NamedTuple

from quintet_client.errors import UsageError
from quintet_client.input.addresses import Address, is_address, place_of
from quintet_client.input.documents.codes import DocumentCode
from quintet_client.input.finding.left_out import LeftOut, Reason
from quintet_client.input.finding.selection import USUAL, Selection
from quintet_client.input.page_ids import folder_id, page_id_of, page_id_within, path_of
from quintet_client.input.regular_files import open_regular, why_not
from quintet_client.input.shards.parquet import Columns, UnreadableParquetError, columns_of, open_parquet, rows_of
from quintet_client.input.shards.tar import DamagedTarError, Member, Read, members
from quintet_client.input.source import (
    COMPRESSED_TAR_EXTENSIONS,
    PAGE_EXTENSIONS,
    PARQUET_EXTENSION,
    PDF_EXTENSION,
    TAR_EXTENSION,
    TIFF_EXTENSIONS,
    Part,
    Source,
    stamp_of_part,
)
from quintet_client.input.stores.objects import read_part
from quintet_client.service.page import UNKNOWN, FileStamp

# Ten thousand are usual; a shard with more images than this is not listed to its end.
MOST_ITEMS = 1_000_000
_SHARDS_AT_A_TIME = 4
# A tar in a store is read in so large pieces to find its headers; a larger member is passed over.
_PIECE_BYTES = 8 * 1024 * 1024
_DOCUMENTS = (PDF_EXTENSION, *TIFF_EXTENSIONS)


class Listed(NamedTuple):
    """What a shard holds, or a manifest names; or why it has no images."""

    items: list[Source]
    left_out: LeftOut = LeftOut()
    is_manifest: bool = False  # the items are files, or shards
    fault: str = ""  # why a Parquet file has neither


def list_shards(shards: Sequence[Source], selection: Selection = USUAL) -> list[Listed]:
    """List shards, in order. What cannot be read is an item with a code, after those that can.

    Patterns are held against the shard's path with the item's name behind it, as if the shard were a folder.

    Raises:
        UsageError: a manifest names what cannot be used, or one id twice.
        ServerUnreachableError: a store was away for longer than is waited.
    """
    with ThreadPoolExecutor(_SHARDS_AT_A_TIME) as threads:
        return list(threads.map(_listed, shards, repeat(selection)))


def items_id(shard: Source) -> str:
    """What the ids of a shard's items begin with, before a slash: a tar's has no extension."""
    is_tar = shard.page_id.lower().endswith(TAR_EXTENSION)
    return folder_id(shard.page_id[: -len(TAR_EXTENSION)] if is_tar else shard.page_id)


def _listed(shard: Source, selection: Selection) -> Listed:
    name = shard.path.lower()
    if name.endswith(COMPRESSED_TAR_EXTENSIONS):
        message = "members of a compressed tar cannot be read one by one; unpack it to .tar"
        return Listed([_failed(shard, DocumentCode.SHARD_UNSUPPORTED, message)])
    try:
        return _parquet(shard, selection) if name.endswith(PARQUET_EXTENSION) else _tar(shard, selection)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in a name from a list
        return Listed([_failed(shard._replace(stamp=UNKNOWN), DocumentCode.UNREADABLE_FILE, why_not(error))])
    except UnreadableParquetError as error:
        return Listed([_failed(shard, DocumentCode.SHARD_DAMAGED, str(error))])


def _failed(shard: Source, code: str, message: str) -> Source:
    return shard._replace(code=code, message=message)


def _tar(shard: Source, selection: Selection) -> Listed:
    if is_address(shard.path):
        return _tar_members(shard, _Pieces(Address.of(shard.path), shard.stamp).read, selection)
    file, stamp = open_regular(shard.path)
    with file:
        read = lambda offset, length: os.pread(file.fileno(), length, offset)  # noqa: E731 - it has one line
        return _tar_members(shard._replace(stamp=stamp), read, selection)


def _tar_members(shard: Source, read: Read, selection: Selection) -> Listed:
    """The images of a tar by their keys; of members with one name the last counts, as for those who unpack it."""
    found, left_out, faults = dict[str, Member](), LeftOut(), list[Source]()
    try:
        for member in members(read, shard.stamp.size_bytes):
            name = "/".join(part for part in os.fsdecode(member.name).split("/") if part not in {"", "."})
            reason = _why_not_listed(name, member, selection)
            if reason is None:
                reason = Reason.REPEATED if name in found else None
                found[name] = member._replace(name=b"")
            if reason is not None and not member.is_folder:
                left_out.add(reason, f"{shard.path}/{name}")
            if len(found) > MOST_ITEMS:
                message = f"it holds more than {MOST_ITEMS} images; the others were not listed: split it"
                faults.append(_failed(shard, DocumentCode.SHARD_UNSUPPORTED, message))
                break
    except DamagedTarError as error:
        faults.append(_failed(shard, DocumentCode.SHARD_DAMAGED, str(error)))
    items = [item for name, item in _named(shard, found) if not _is_excluded(shard, name, selection, left_out)]
    return Listed([*items, *faults], left_out)


def _why_not_listed(name: str, member: Member, selection: Selection) -> Reason | None:
    if not member.is_regular:
        return Reason.NOT_REGULAR
    return selection.hides(name) or (None if name.lower().endswith(PAGE_EXTENSIONS) else Reason.OTHER_FORMAT)


def _is_excluded(shard: Source, name: str, selection: Selection, left_out: LeftOut) -> bool:
    """Whether patterns leave an item out, which is then counted."""
    reason = selection.is_narrow and selection.excludes(f"{path_of(shard.page_id)}/{name}")
    if reason:
        left_out.add(reason, f"{shard.path}/{name}")
    return bool(reason)


def _named(shard: Source, found: dict[str, Member]) -> Iterator[tuple[str, Source]]:
    """Images under `shard/key`, with their extensions where several have one key; documents always with theirs.

    By their names; which ids they have does not depend on what patterns leave out.
    """
    before = items_id(shard)
    keys = Counter(map(_key_of, found))
    for name, member in found.items():
        key = _key_of(name)
        shown = name if keys[key] > 1 or name.lower().endswith(_DOCUMENTS) else key
        part = Part(member.offset, member.length)
        stamp = stamp_of_part(shard.stamp, part, member.length)
        yield name, Source(page_id_within(before, shown), shard.path, stamp, part=part)


def _key_of(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    dots = last[: len(last) - len(last.lstrip("."))]  # of a hidden file
    return folder + slash + dots + last.lstrip(".").partition(".")[0]


class _Pieces:
    """A tar in a store, read from front to back."""

    def __init__(self, address: Address, stamp: FileStamp) -> None:
        self._address = address
        self._stamp = stamp
        self._begin = 0
        self._piece = b""

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes from an offset on; raises as `read_part` does."""
        if not self._begin <= offset <= offset + length <= self._begin + len(self._piece):
            self._piece = b""
            length = min(length, self._stamp.size_bytes - offset)
            self._piece, stamp = read_part(self._address, offset, max(length, _PIECE_BYTES))
            if stamp != self._stamp:
                raise OSError(0, "the object has changed while it was listed")
            self._begin = offset
        return self._piece[offset - self._begin :][:length]


def _parquet(shard: Source, selection: Selection) -> Listed:
    with open_parquet(shard.path) as (file, stamp):
        columns = columns_of(file.schema_arrow)
        if columns.is_ambiguous:
            raise UsageError(f"{shard.path} has {columns.fault}; give a file with one")
        if columns.fault:
            return Listed([], fault=columns.fault)
        names = [name for name in (columns.uri, columns.key) if name]
        rows = rows_of(file, names)
        if columns.uri:
            return Listed(_manifest(shard, rows), is_manifest=True)
        left_out, images = LeftOut(), _images(shard._replace(stamp=stamp), rows, columns)
        return Listed([item for key, item in images if not _is_excluded(shard, key, selection, left_out)], left_out)


def _images(shard: Source, rows: Iterator[tuple[Part, list[Any]]], columns: Columns) -> Iterator[tuple[str, Source]]:
    """The images of rows under `file/id`; where an id is missing, or not the only one of its kind, the row's number."""
    parts, ids = list[Part](), list[str]()
    for number, (part, values) in enumerate(rows):
        parts.append(part)
        ids.append(_text(values[0]) if columns.key else str(number))
    unique = columns.key == "" or (all(ids) and len(set(map(page_id_of, ids))) == len(ids))
    for number, part in enumerate(parts):
        key = ids[number] if unique else str(number)
        stamp = stamp_of_part(shard.stamp, part, -1)
        yield key, Source(page_id_within(items_id(shard), key), shard.path, stamp, part=part)


def _manifest(shard: Source, rows: Iterator[tuple[Part, list[Any]]]) -> list[Source]:
    """The files that a manifest names, each once; their states are not known yet."""
    folder = shard.page_id.rpartition("/")[0]
    seen = dict[str, Source]()
    for number, (_part, (uri, *ids)) in enumerate(rows):
        if not uri:
            raise UsageError(f"{shard.path}: row {number} has no uri; give each row one")
        path, page_id = _place(shard.path, str(uri), folder)
        named = bool(ids and _text(ids[0]))
        if named:
            page_id = _with_extension(page_id_of(_text(ids[0])), path)
        item = Source(page_id, path, named=named)
        other = seen.setdefault(page_id, item)
        if other.place != item.place:
            raise UsageError(f"{shard.path} gives the id {page_id} to {other.path} and to {path}; make ids unique")
    return list(seen.values())


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _with_extension(page_id: str, path: str) -> str:
    """An id that shows that a file is a document: the ids of its pages are made of it."""
    extension = Source("", path).extension
    return page_id + extension if extension in _DOCUMENTS and Source("", page_id).extension != extension else page_id


def _place(manifest: str, uri: str, folder: str) -> tuple[str, str]:
    """The path or address that a row names, and the id that it has by itself."""
    place = place_of(uri)
    if isinstance(place, Address):
        return str(place), page_id_of(str(place))
    name = str(place) if uri.startswith("file:") else uri
    if name.startswith("/"):
        here = os.path.abspath(os.path.dirname(manifest)).rstrip("/") + "/"  # noqa: PTH100, PTH120 - strings
        inside = not is_address(manifest) and name.startswith(here)
        return name, page_id_within(folder, name.removeprefix(here)) if inside else page_id_of(name)
    if not is_address(manifest):
        return os.path.join(os.path.dirname(manifest), name), page_id_within(folder, name)  # noqa: PTH118, PTH120
    address = Address.of(manifest)
    key = posixpath.normpath(posixpath.join(posixpath.dirname(address.key), name))
    if key.startswith(".."):
        raise UsageError(f"{manifest} names {name}, which leads out of the bucket; write such names as addresses")
    return str(address._replace(key=key)), page_id_within(folder, name)
