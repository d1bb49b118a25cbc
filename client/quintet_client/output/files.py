"""Files below a folder, reached one name at a time: a link on the way is never followed.

Page ids cannot leave OUTPUT by themselves (see `input.page_ids`). A link that somebody has put into OUTPUT could lead
out of it, so every folder on the way is opened by its descriptor, and nothing can be exchanged in between.

Each function takes a root, which may be a link itself, and a path below it such as "pages/a/b.json".
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def replaced(root: Path, path: str) -> Iterator[BinaryIO]:
    """Yield a file to write that then replaces `path`, whole: there is the old content or the new, no part of it.

    The temporary file is in the same folder (a rename does not cross file systems) under a name made from the file's
    own: the one a killed client leaves behind is removed when the file is written again.

    Raises:
        OSError: it could not be written; nothing new is left, nor if the caller fails.
    """
    with _folder_of(root, path, make=True) as (folder, name):
        partial = f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.partial"
        try:
            with suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=folder)
            with os.fdopen(os.open(partial, _NEW_FILE, 0o666, dir_fd=folder), "wb") as file:
                yield file
            os.replace(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial, dir_fd=folder)
            raise


def write_file(root: Path, path: str, content: bytes) -> None:
    """Write a file whole or not at all, as `replaced` does."""
    with replaced(root, path) as file:
        file.write(content)


def read_file(root: Path, path: str) -> bytes:
    """Return the content of a file; raises OSError if there is none, or a link in its place."""
    with (
        _folder_of(root, path) as (folder, name),
        os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb") as file,
    ):
        return file.read()


def remove_file(root: Path, path: str) -> None:
    """Remove a file, or the link in its place, if there is one."""
    with suppress(FileNotFoundError), _folder_of(root, path) as (folder, name):
        os.unlink(name, dir_fd=folder)


def size_of_file(root: Path, path: str) -> int:
    """Return the size of a file in bytes, -1 if there is none."""
    try:
        with _folder_of(root, path) as (folder, name):
            return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
    except OSError:
        return -1


@contextmanager
def _folder_of(root: Path, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder of a file, making it if asked to; yields its descriptor and the file's name.

    Raises:
        OSError: a folder on the way is missing, a link, or no folder.
    """
    *folders, name = path.split("/")
    here = os.open(root, _FOLDER)
    try:
        for folder in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(folder, dir_fd=here)
            below = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        yield here, name
    finally:
        os.close(here)
