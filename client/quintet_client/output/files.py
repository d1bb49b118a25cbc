"""Files below a folder, reached one name at a time: a link on the way is never followed.

Page ids cannot leave OUTPUT by themselves (see `input.page_ids`). A link that somebody has put into OUTPUT could lead
out of it, so every folder on the way is opened by its descriptor, and nothing can be exchanged in between.

Each function takes a root, which may be a link itself, and a path below it such as "pages/a/b.json".
"""

import errno
import hashlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
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


def create_file(root: Path, path: str, content: bytes) -> bool:
    """Write a file that is not there yet, whole or not at all; returns False if it is there.

    Of several that write it at a time, from whatever process or machine, one does.
    """
    with _folder_of(root, path, make=True) as (folder, name):
        partial = f".{secrets.token_hex(16)}.partial"  # a name of its own may be too long
        try:
            with os.fdopen(os.open(partial, _NEW_FILE, 0o666, dir_fd=folder), "wb") as file:
                file.write(content)
            os.link(partial, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            return False
        finally:
            with suppress(OSError):
                os.unlink(partial, dir_fd=folder)
    return True


def write_file(root: Path, path: str, content: bytes) -> None:
    """Write a file whole or not at all, as `replaced` does."""
    with replaced(root, path) as file:
        file.write(content)


def open_file(root: Path, path: str) -> BinaryIO:
    """Open a regular file to read; raises OSError if there is none, or something else in its place."""
    with _folder_of(root, path) as (folder, name):
        file = os.fdopen(os.open(name, _OLD_FILE, dir_fd=folder), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(0, "not a regular file")
    return file


def read_file(root: Path, path: str, most_bytes: int = sys.maxsize) -> bytes:
    """Return the content of a file; raises OSError as `open_file` does, and (EFBIG) if it is longer."""
    with open_file(root, path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > most_bytes:
            raise OSError(errno.EFBIG, f"{size_bytes} bytes; at most {most_bytes} are read")
        return file.read()


def remove_file(root: Path, path: str) -> None:
    """Remove a file, or the link in its place, if there is one."""
    with suppress(FileNotFoundError), _folder_of(root, path) as (folder, name):
        os.unlink(name, dir_fd=folder)


def names_below(root: Path, path: str) -> dict[str, str]:
    """The names of the files in a folder, each with its size and time; none if there is no folder."""
    try:
        with _folder_of(root, f"{path}/.") as (folder, _), os.scandir(folder) as entries:
            files = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries if entry.is_file()]
    except FileNotFoundError:
        return {}
    return {name: f"{status.st_size}-{status.st_mtime_ns}" for name, status in files}


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
        OSError: a folder on the way is missing, a link, or no folder; or the path leads upwards.
    """
    *folders, name = path.split("/")
    if ".." in {*folders, name}:
        raise FileNotFoundError(0, "'..' is no name of a file or folder below OUTPUT")
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
