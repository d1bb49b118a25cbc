"""What to read: a folder, one file or a list of files becomes a sorted list of sources.

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
    """One page to read, or a file whose pages are not counted yet."""

    page_id: str  # in OUTPUT and the ledger; see `page_ids.page_id_of`
    path: str  # undecodable bytes as surrogates
    stamp: FileStamp = UNKNOWN  # when the file was listed
    page: int = 0  # number in a document, from 1; 0 if the file is an image, and travels as it is
    code: str = ""  # why nothing of a document can be read, like the message
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

    INPUT is a folder (searched recursively, links followed), one file, a `.txt` list of files, or `-` for a list on
    standard input. Names in a list are relative to its folder, those on standard input to the working one; they end
    with a newline, or NUL for `null_names`. A path named twice is one file.

    Raises:
        UsageError: INPUT does not exist or the list cannot be read.
    """
    paths = dict(_listed(input_path, b"\0" if null_names else b"\n"))
    return [Source(page_id, paths[page_id], stamp_of(paths[page_id])) for page_id in sorted(paths)]


def _listed(input_path: Path, end: bytes) -> Iterator[tuple[str, str]]:
    if input_path == STANDARD_INPUT:
        return _from_list(sys.stdin.buffer.read(), Path.cwd(), end)
    if input_path.is_dir():
        root = str(input_path)
        return ((page_id_of(os.path.relpath(path, root)), path) for path in _walk(root, frozenset()))
    if not os.path.lexists(input_path):
        raise UsageError(f"INPUT {input_path} does not exist; give a folder, a file or a {LIST_EXTENSION} list")
    if input_path.suffix.lower() == LIST_EXTENSION:
        try:
            return _from_list(input_path.read_bytes(), input_path.parent, end)
        except OSError as error:
            raise UsageError(f"the list {input_path} cannot be read ({error.strerror}); make it readable") from error
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


def _from_list(names: bytes, folder: Path, end: bytes) -> Iterator[tuple[str, str]]:
    root = str(folder)
    # An absolute name inside the list's folder is the same page as the relative one. resolve() would follow links.
    prefix = os.path.abspath(root).rstrip("/") + "/"  # noqa: PTH100
    for line in names.split(end):
        # A list written on Windows ends its lines with \r\n; a name that ends with NUL is taken as it is.
        name = os.fsdecode(line.rstrip(b"\r") if end == b"\n" else line)
        if name:
            path = os.path.join(root, name)  # noqa: PTH118 - Path would fold "..", which may pass through a link
            yield page_id_of(name.removeprefix(prefix)), path
