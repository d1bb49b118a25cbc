"""What there is to read: a folder, one file or a list of files becomes a sorted list of sources.

Files alone: which pages a document has is found by `paging`.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from quintet_client.errors import UsageError
from quintet_client.input.page_ids import page_id_of
from quintet_client.input.regular_files import stamp_of
from quintet_client.service.page import UNKNOWN, FileStamp

PDF_EXTENSION = ".pdf"
TIFF_EXTENSIONS = (".tif", ".tiff")
EXTENSIONS = (".bmp", ".jpeg", ".jpg", PDF_EXTENSION, ".png", *TIFF_EXTENSIONS, ".webp")
LIST_EXTENSION = ".txt"
STANDARD_INPUT = Path("-")


class Source(NamedTuple):
    """One page to read, or a file whose pages nobody has counted yet.

    Attributes:
        page_id: its name in OUTPUT and in the ledger (see `page_ids.page_id_of`).
        path: where its bytes are; undecodable bytes of the name as surrogates.
        stamp: the state of the file when it was listed.
        page: its number in a document, from 1; 0 if the file is an image, and travels as it is.
        code: why nothing of a document can be read, as a stable code; empty if that is not known.
        message: the same for a person.
    """

    page_id: str
    path: str
    stamp: FileStamp = UNKNOWN
    page: int = 0
    code: str = ""
    message: str = ""

    @property
    def is_pdf(self) -> bool:
        """Whether the file is a PDF by its name."""
        return self.path.lower().endswith(PDF_EXTENSION)

    @property
    def is_tiff(self) -> bool:
        """Whether the file is a TIFF by its name."""
        return self.path.lower().endswith(TIFF_EXTENSIONS)


def find_sources(input_path: Path, *, null_names: bool = False) -> list[Source]:
    """List the files of INPUT, sorted by id; what cannot be read is listed too, so that it fails by name.

    Args:
        input_path: a folder (searched recursively, links followed), one file, a `.txt` list of files, or `-` for a list
            on standard input. Names in a file are relative to its folder, those on standard input to the working one.
        null_names: names in a list end with NUL, not with a newline.

    Returns:
        Sources with distinct ids, each looked at once; a path named twice in a list is one file.

    Raises:
        UsageError: INPUT does not exist or the list cannot be read.
    """
    paths = dict(_listed(input_path, b"\0" if null_names else b"\n"))
    return [Source(page_id, paths[page_id], stamp_of(paths[page_id])) for page_id in sorted(paths)]


def _listed(input_path: Path, end: bytes) -> Iterator[tuple[str, str]]:
    """Page ids and paths."""
    if input_path == STANDARD_INPUT:
        return _from_list(sys.stdin.buffer.read(), Path.cwd(), end)
    if input_path.is_dir():
        root = str(input_path)
        return ((page_id_of(os.path.relpath(path, root)), path) for path in _walk(root, frozenset()))
    if not os.path.lexists(input_path):
        raise UsageError(f"INPUT {input_path} does not exist; give a folder, a file or a {LIST_EXTENSION} list")
    if input_path.suffix.lower() == LIST_EXTENSION:
        return _from_list(_read_list(input_path), input_path.parent, end)
    return iter([(page_id_of(input_path.name), str(input_path))])


def _walk(folder: str, ancestors: frozenset[tuple[int, int]]) -> Iterator[str]:
    """Yield paths of images and documents below a folder, and the folder itself where it cannot be listed."""
    try:
        status = os.stat(folder)  # noqa: PTH116 - surrogate-escaped names stay plain strings here
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield folder
        return
    here = (status.st_dev, status.st_ino)
    if here in ancestors:
        return  # a link back up: its pages have been listed under their real folder
    for entry in entries:
        if _is_folder(entry):
            yield from _walk(entry.path, ancestors | {here})
        elif entry.name.lower().endswith(EXTENSIONS):
            yield entry.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: reading it says so, by name
        return False


def _read_list(list_path: Path) -> bytes:
    try:
        return list_path.read_bytes()
    except OSError as error:
        raise UsageError(f"the list {list_path} cannot be read ({error.strerror}); make it readable") from error


def _from_list(names: bytes, folder: Path, end: bytes) -> Iterator[tuple[str, str]]:
    root = str(folder)
    for line in names.split(end):
        # A list written on Windows ends its lines with \r\n; a name that ends with NUL is taken as it is.
        name = os.fsdecode(line.rstrip(b"\r") if end == b"\n" else line)
        if name:
            path = os.path.join(root, name)  # noqa: PTH118 - Path would fold "..", which may pass through a link
            yield page_id_of(_below(root, name)), path


def _below(root: str, name: str) -> str:
    """Make an absolute name inside the list's folder relative to it: it is the same page either way."""
    prefix = os.path.abspath(root).rstrip("/") + "/"  # noqa: PTH100 - resolve() would follow links
    return name.removeprefix(prefix)
