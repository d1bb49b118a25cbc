"""Files below a folder, reached one name at a time: what stands there as a link is never followed.

Names of pages cannot leave OUTPUT by themselves (see `names`). A link that somebody has put into OUTPUT could lead them
out, so every folder on the way is opened by its descriptor, and nothing can be exchanged in between.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def opened(root: Path, folders: Sequence[str], *, make: bool) -> Iterator[int]:
    """A folder below `root`, as a descriptor.

    Args:
        root: may be a link itself.
        folders: the names on the way; none of them may be one.
        make: whether to make those that are missing.

    Raises:
        OSError: one of them is missing, a link, or no folder.
    """
    here = os.open(root, _FOLDER)
    try:
        for name in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=here)
            below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)


@contextmanager
def replaced(folder: int, name: str) -> Iterator[BinaryIO]:
    """Give a file to write that then takes the place of `name`, whole: there is the old content or the new, no part.

    The temporary file stands in the same folder (a rename does not cross file systems) under a name made from the
    file's own: the one a killed client leaves behind is removed when the file is written again.

    Raises:
        OSError: it could not be written; nothing new is left, nor where the caller fails.
    """
    partial = f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.partial"
    try:
        remove_file(folder, partial)
        with os.fdopen(os.open(partial, _NEW_FILE, 0o666, dir_fd=folder), "wb") as file:
            yield file
        os.replace(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            remove_file(folder, partial)
        raise


def replace_file(folder: int, name: str, content: bytes) -> None:
    """Write a file whole or not at all, as `replaced` does."""
    with replaced(folder, name) as file:
        file.write(content)


def read_file(folder: int, name: str) -> bytes:
    """The content of a file.

    Raises:
        OSError: there is none, or a link stands in its place.
    """
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb") as file:
        return file.read()


def remove_file(folder: int, name: str) -> None:
    """Remove a file, or the link that stands in its place, if there is one."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def size_of_file(folder: int, name: str) -> int:
    """Size of a file in bytes.

    Raises:
        OSError: there is none.
    """
    return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
