"""Regular files, and no pipes or devices: opened, read whole, and stamped with their state."""

import errno
import os
import stat
import sys
from typing import BinaryIO

from quintet_client.service.page import UNKNOWN, FileStamp

# Four times what the service takes: a larger file is not read into memory to be refused.
MAX_FILE_BYTES = 256 * 1024 * 1024
_CHUNK_BYTES = 8 * 1024 * 1024


class NotRegularError(OSError):
    """What is opened is a pipe, a device or a folder."""


def stamp_of(path: str) -> FileStamp:
    """The present state of a file; `UNKNOWN` if it cannot be found."""
    try:
        return _stamp(os.stat(path))  # noqa: PTH116 - surrogate-escaped names stay plain strings here
    except (OSError, ValueError):  # ValueError: a NUL byte in a name from a list
        return UNKNOWN


def open_regular(path: str) -> tuple[BinaryIO, FileStamp]:
    """Open a regular file, unbuffered; raises OSError or ValueError if it is none, or cannot be opened."""
    # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
    try:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise NotRegularError(0, "not a regular file")
    except OSError:
        file.close()
        raise
    return file, _stamp(status)


def read_regular(path: str, most_bytes: int = sys.maxsize) -> bytes:
    """Read a regular file whole; raises as `open_regular` does, and OSError (EFBIG) if it is longer."""
    file, stamp = open_regular(path)
    with file:
        if stamp.size_bytes > most_bytes:
            raise OSError(errno.EFBIG, f"{stamp.size_bytes} bytes; at most {most_bytes} are read")
        return file.read()


def read_part(path: str, start: int, length: int) -> tuple[bytes, FileStamp]:
    """Read bytes of a regular file, and tell the file's state; raises as `open_regular`, or OSError if they end."""
    file, stamp = open_regular(path)
    with file:
        return _exactly(file, start, length), stamp


def copy_part(path: str, start: int, length: int, target: BinaryIO) -> FileStamp:
    """Copy some bytes of a regular file; returns the file's state, and raises as `read_part` does."""
    file, stamp = open_regular(path)
    end = start + length
    with file:
        pieces = (min(_CHUNK_BYTES, end - offset) for offset in range(start, end, _CHUNK_BYTES))
        target.writelines(_exactly(file, start + number * _CHUNK_BYTES, size) for number, size in enumerate(pieces))
    return stamp


def _exactly(file: BinaryIO, start: int, length: int) -> bytes:
    read = bytearray()
    while len(read) < length:
        more = os.pread(file.fileno(), length - len(read), start + len(read))
        if not more:
            raise OSError(0, "the file ends earlier than it did when it was listed")
        read += more
    return bytes(read)


def why_not(error: OSError | ValueError) -> str:
    """What was wrong with a file that `open_regular` refused."""
    return getattr(error, "strerror", None) or str(error)


def _stamp(status: os.stat_result) -> FileStamp:
    return FileStamp(status.st_size, status.st_mtime_ns)
