"""Regular files, and no pipes or devices: opened, read whole, and stamped with their state."""

import errno
import os
import stat
import sys
from typing import BinaryIO

from quintet_client.service.page import UNKNOWN, FileStamp

# Four times what the service takes: a larger file is not read into memory to be refused.
MAX_FILE_BYTES = 256 * 1024 * 1024


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
            raise OSError(0, "not a regular file")
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


def why_not(error: OSError | ValueError) -> str:
    """What was wrong with a file that `open_regular` refused."""
    return getattr(error, "strerror", None) or str(error)


def _stamp(status: os.stat_result) -> FileStamp:
    return FileStamp(status.st_size, status.st_mtime_ns)
