"""The files, objects and items of shards that pages were read from, where they are now."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from quintet_client.errors import QuintetError
from quintet_client.input.addresses import Address, is_address
from quintet_client.input.documents.codes import SHARD_HAS_CHANGED
from quintet_client.input.finding.selection import EVERYTHING
from quintet_client.input.page_ids import is_shortened, path_of
from quintet_client.input.regular_files import read_part, read_regular, stamp_of, why_not
from quintet_client.input.shards.listing import items_id
from quintet_client.input.shards.parquet import GroupTooLargeError, Rows, UnreadableParquetError
from quintet_client.input.source import PARQUET_EXTENSION, Source, stamp_of_part
from quintet_client.input.sources import find_files, is_folder
from quintet_client.input.stores.apart import here
from quintet_client.input.stores.objects import Wanted, read_objects, stamps_of
from quintet_client.input.unpacking import unpacked
from quintet_client.service.page import UNKNOWN, FileStamp

# Shards whose items are kept by their ids; each has a million at most.
_MOST_SHARDS = 4
_Result = TypeVar("_Result")


class NoOriginalError(QuintetError):
    """The file of a page is missing, or may not be opened; the message says why."""


def input_of(text: str) -> Path | Address:
    """An INPUT as the ledger notes it."""
    return Address.of(text) if is_address(text) else Path(text)


def _asked(ask: Callable[[], _Result]) -> _Result:
    """What INPUT answers; raises NoOriginalError if it cannot be listed, or a store cannot be asked."""
    try:
        return ask()
    except QuintetError as error:
        raise NoOriginalError(f"INPUT cannot be listed: {error}") from error


class Originals:
    """Finds the files of runs that wrote one OUTPUT, and reads them; safe to share between threads.

    `inputs` are what INPUT was; of two files with one id the one in the later place was read last. `files` are known to
    exist. Links below a folder are followed wherever they lead, as for reading; names never lead out of it. Stores are
    asked by this process, which must not be forked any more.
    """

    def __init__(self, inputs: Sequence[Path | Address], files: Iterable[Source] = ()) -> None:
        self.inputs = tuple(inputs)
        self._known = {file.page_id: file for file in files}
        self._lock = threading.Lock()
        self._files: dict[Path | Address, dict[str, Source]] = {}
        self._items: dict[str, dict[str, Source]] = {}
        self._rows = Rows()
        self._rows_lock = threading.Lock()

    @property
    def missing(self) -> str:
        """Why there are no files at all; empty if there may be."""
        if not self.inputs:
            return "the run does not say where its INPUT was; give it with --input"
        if not any(isinstance(place, Address) or place.exists() for place in self.inputs):
            return "INPUT is no longer where it was; give its place with --input"
        if find_spec("obstore") is None and all(isinstance(place, Address) for place in self.inputs):
            return "INPUT is in a store, and obstore is not installed: pip install 'quintet[stores]'"
        return ""

    def find(self, name: str) -> Source:
        """Find an image or document by its id; raises NoOriginalError if it is missing or outside INPUT."""
        if name in self._known:
            return self._known[name]
        try:
            if self.missing:
                raise NoOriginalError(self.missing)
            for place in reversed(self.inputs):
                if isinstance(place, Address) or place.exists():
                    found = self._direct(place, name) or self._listed(place, name)
                    if found is not None:
                        return found
        except (OSError, ValueError) as error:  # a folder without permission, a NUL byte
            raise NoOriginalError(f"the image's name leads nowhere ({why_not(error)})") from error
        raise NoOriginalError("the image is no longer in INPUT")

    def read(self, source: Source, most_bytes: int) -> bytes:
        """Read what was found, whole; raises OSError or ValueError if that cannot be done, or it is longer."""
        try:
            body, stamp = self._read(source, most_bytes)
        except (QuintetError, GroupTooLargeError, UnreadableParquetError) as error:
            raise OSError(0, str(error)) from None
        if source.part is not None and stamp_of_part(stamp, source.part, source.stamp.size_bytes) != source.stamp:
            raise OSError(0, SHARD_HAS_CHANGED)
        size_bytes = max(len(body), stamp.size_bytes if source.part is None else 0)
        if size_bytes > most_bytes:
            raise OSError(0, f"{size_bytes} bytes; at most {most_bytes} are read")
        return body

    def _read(self, source: Source, most_bytes: int) -> tuple[bytes, FileStamp]:
        """The bytes, and the state of the file that they are, or are part of."""
        if source.is_row:
            with self._rows_lock:
                return self._rows.read(source)
        if source.part is not None and source.part.length > most_bytes:
            raise OSError(0, f"{source.part.length} bytes; at most {most_bytes} are read")
        if source.is_at_address:
            (read,) = read_objects([Wanted(Address.of(source.path), *(source.part or ()))], most_bytes)
            if isinstance(read, Exception):
                raise read
            return read
        if source.part is not None:
            return read_part(source.path, *source.part)
        return read_regular(source.path, most_bytes), UNKNOWN

    def _direct(self, place: Path | Address, name: str) -> Source | None:
        """A file below a folder, or an object below a prefix, by its name alone."""
        if not is_folder(place) or is_shortened(name):
            return None
        if isinstance(place, Path):
            path = Path(os.path.abspath(place / path_of(name)))  # noqa: PTH100 - resolve() would follow links
            if not path.is_relative_to(os.path.abspath(place)):  # noqa: PTH100
                raise NoOriginalError("the image's name leads out of INPUT, and is not followed")
            return Source(name, str(path), stamp_of(str(path))) if path.is_file() else None
        key = "/".join(filter(None, (place.key.rstrip("/"), path_of(name))))
        address = place._replace(key=key)
        (stamp,) = _asked(lambda: stamps_of([address]))
        return None if stamp == UNKNOWN else Source(name, str(address), stamp)

    def _listed(self, place: Path | Address, name: str) -> Source | None:
        """A file, or an item of a shard, that INPUT is found to hold; a manifest names files wherever they are."""
        with self._lock:
            files = self._files_of(place)
            holding = [file for file in files.values() if file.is_shard and name.startswith(items_id(file) + "/")]
            manifests = [file for file in files.values() if file.path.lower().endswith(PARQUET_EXTENSION)]
            found = files.get(name)
            for shard in [] if found else [*holding, *manifests]:
                found = found or self._items_of(shard, is_folder(place)).get(name)
        if found is None or found.is_at_address or found.part is not None:
            return found
        return found._replace(stamp=stamp_of(found.path)) if Path(found.path).is_file() else None

    def _files_of(self, place: Path | Address) -> Mapping[str, Source]:
        if place not in self._files:
            files = _asked(lambda: find_files(place, EVERYTHING, aside=here))
            self._files[place] = {file.page_id: file for file in files}
        return self._files[place]

    def _items_of(self, shard: Source, within_folder: bool) -> Mapping[str, Source]:
        """What a shard or manifest holds; the shards asked for last are remembered."""
        items = self._items.pop(shard.path, None)
        if items is None:
            listed = _asked(lambda: unpacked([shard], is_folder=within_folder, aside=here))
            items = {item.page_id: item for item in listed}
        self._items[shard.path] = items
        if len(self._items) > _MOST_SHARDS:
            del self._items[next(iter(self._items))]
        return items
