"""Documents of stores as files, for the renderer: one at a time, removed when the next comes."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress

from quintet_client.input.addresses import Address
from quintet_client.input.stores.objects import copy_object
from quintet_client.service.page import FileStamp

# What a document takes of the disk, in each loader.
MOST_BYTES = 1024 * 1024 * 1024


class Copies:
    """Keeps the document opened last: its neighbouring pages come next."""

    def __init__(self, call: Callable[..., FileStamp] | None = None, folder: str | None = None) -> None:
        """Copy into a folder, or the system's for temporary files.

        `call` calls the function that copies, with its arguments; see `apart`.
        """
        self._call = call
        self._folder = folder
        self._held: tuple[str, str, FileStamp] | None = None

    def of(self, address: str) -> tuple[str, FileStamp]:
        """Return the path of a copy, and the state of its object; raises as `copy_object` does."""
        if self._held is None or self._held[0] != address:
            self.close()
            handle, path = tempfile.mkstemp(prefix="quintet-", suffix=os.path.splitext(address)[1], dir=self._folder)  # noqa: PTH122 - a string
            os.close(handle)
            self._held = (address, path, FileStamp(0, 0))
            try:
                stamp = self._call(_copied, address, path) if self._call else _copied(address, path)
            except BaseException:
                self.close()
                raise
            self._held = (address, path, stamp)
        return self._held[1:]

    def close(self) -> None:
        """Remove the copy."""
        if self._held:
            with suppress(FileNotFoundError):
                os.unlink(self._held[1])  # noqa: PTH108 - a string
            self._held = None


def _copied(address: str, path: str) -> FileStamp:
    with open(path, "wb") as file:  # noqa: PTH123 - a string
        stamp = copy_object(Address.of(address), file, MOST_BYTES)
    if stamp.size_bytes > MOST_BYTES:
        raise OSError(0, f"{stamp.size_bytes} bytes; at most {MOST_BYTES} of a document are copied out of a store")
    return stamp
