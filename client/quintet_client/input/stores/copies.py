"""Documents of stores and tars as files, for the renderer: one at a time, removed when the next comes."""

import os
import tempfile
from contextlib import suppress
from typing import BinaryIO

from quintet_client.input.addresses import Address, is_address
from quintet_client.input.regular_files import copy_part
from quintet_client.input.source import Part, Source, stamp_of_part
from quintet_client.input.stores.objects import WHOLE, Wanted, copy_object
from quintet_client.service.page import UNKNOWN, FileStamp

# What a document takes of the disk, in each loader.
MOST_BYTES = 1024 * 1024 * 1024


class Copies:
    """Keeps the document opened last: its neighbouring pages come next."""

    def __init__(self, folder: str | None = None) -> None:
        """Copy into a folder, or the system's for temporary files."""
        self._folder = folder
        self._held: tuple[str, Part | None, str, FileStamp] | None = None

    def of(self, source: Source) -> tuple[str, FileStamp]:
        """Return the path of a copy of a document, and the document's state; raises as `copy_object` does."""
        place, part = source.path, source.part
        if self._held is None or self._held[:2] != (place, part):
            self.close()
            handle, path = tempfile.mkstemp(prefix="quintet-", suffix=source.extension, dir=self._folder)
            self._held = (place, part, path, UNKNOWN)
            try:
                with os.fdopen(handle, "wb") as file:
                    stamp = _copied(place, part, file)
            except BaseException:
                self.close()
                raise
            self._held = (place, part, path, stamp)
        return self._held[2:]

    def close(self) -> None:
        """Remove the copy."""
        if self._held:
            with suppress(FileNotFoundError):
                os.unlink(self._held[2])  # noqa: PTH108 - a string
            self._held = None


def _copied(place: str, part: Part | None, file: BinaryIO) -> FileStamp:
    size_bytes = part.length if part else 0
    if size_bytes <= MOST_BYTES:
        start, length = part or (0, WHOLE)
        if is_address(place):
            stamp = copy_object(Wanted(Address.of(place), start, length), file, MOST_BYTES)
        else:
            stamp = copy_part(place, start, length, file)
        if part:
            return stamp_of_part(stamp, part, part.length)
        size_bytes = stamp.size_bytes
    if size_bytes > MOST_BYTES:
        raise OSError(0, f"{size_bytes} bytes; at most {MOST_BYTES} of a document are copied out of a store or tar")
    return stamp
