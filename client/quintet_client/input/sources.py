"""What there is to read: a folder, one file or a list of files becomes a sorted list of sources.

Files alone: which pages a document has is found by `paging`.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quintet_client.errors import UsageError
from quintet_client.input.page_ids import page_id_of
from quintet_client.input.regular_files import FileStamp

PDF_EXTENSION = ".pdf"
TIFF_EXTENSIONS = (".tif", ".tiff")
EXTENSIONS = (".bmp", ".jpeg", ".jpg", PDF_EXTENSION, ".png", *TIFF_EXTENSIONS, ".webp")
LIST_EXTENSION = ".txt"
STANDARD_INPUT = Path("-")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why nothing of a document can be read.

    Attributes:
        stamp: the state of the file that was looked at.
        code: a stable code.
        message: the same for a person.
    """

    stamp: FileStamp
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Source:
    """One page to read, or a file whose pages nobody has counted yet.

    Attributes:
        page_id: its name in OUTPUT and in the ledger (see `names.page_id_of`).
        path: where its bytes are; undecodable bytes of the name as surrogates.
        page: its number in a document, from 1; 0 if the file is an image, and travels as it is.
        fault: known already, of a document that cannot be opened.
    """

    page_id: str
    path: str
    page: int = 0
    fault: Fault | None = None

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
        Sources with distinct ids; a path named twice in a list is one file.

    Raises:
        UsageError: INPUT does not exist or the list cannot be read.
    """
    unique = {source.page_id: source for source in _listed(input_path, b"\0" if null_names else b"\n")}
    return sorted(unique.values(), key=lambda source: source.page_id)


def _listed(input_path: Path, end: bytes) -> Iterator[Source]:
    if input_path == STANDARD_INPUT:
        return _from_list(sys.stdin.buffer.read(), Path.cwd(), end)
    if input_path.is_dir():
        return _from_folder(str(input_path))
    if not os.path.lexists(input_path):
        raise UsageError(f"INPUT {input_path} does not exist; give a folder, a file or a {LIST_EXTENSION} list")
    if input_path.suffix.lower() == LIST_EXTENSION:
        return _from_list(_read_list(input_path), input_path.parent, end)
    return iter([Source(page_id_of(input_path.name), str(input_path))])


def _from_folder(root: str) -> Iterator[Source]:
    for path in _walk(root, frozenset()):
        yield Source(page_id_of(os.path.relpath(path, root)), path)


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


def _from_list(names: bytes, folder: Path, end: bytes) -> Iterator[Source]:
    root = str(folder)
    for line in names.split(end):
        # A list written on Windows ends its lines with \r\n; a name that ends with NUL is taken as it is.
        name = os.fsdecode(line.rstrip(b"\r") if end == b"\n" else line)
        if name:
            path = os.path.join(root, name)  # noqa: PTH118 - Path would fold "..", which may pass through a link
            yield Source(page_id_of(_below(root, name)), path)


def _below(root: str, name: str) -> str:
    """Make an absolute name inside the list's folder relative to it: it is the same page either way."""
    prefix = os.path.abspath(root).rstrip("/") + "/"  # noqa: PTH100 - resolve() would follow links
    return name.removeprefix(prefix)
