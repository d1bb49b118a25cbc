"""What to read: a folder, one file, a list, a manifest, a shard, or an address in a store becomes a list of sources.

Which pages a document has is found by `paging`.
"""

import logging
import os
import sys
from collections import deque
from collections.abc import Iterator
from itertools import starmap
from pathlib import Path

from quintet_client.errors import UsageError
from quintet_client.input.addresses import Address, is_address, place_of
from quintet_client.input.own_pdfs import lies_beside_input
from quintet_client.input.page_ids import page_id_of
from quintet_client.input.source import EXTENSIONS, Source
from quintet_client.input.stores.apart import Aside, apart
from quintet_client.input.stores.objects import list_objects
from quintet_client.input.unpacking import some, unpacked, with_stamps

LIST_EXTENSION = ".txt"
STANDARD_INPUT = Path("-")
# What `quintet read` writes into OUTPUT, and what tells an OUTPUT from other folders.
RESULTS = ("exports", "pages", "parts")
LEDGER = "ledger.sqlite"
# Beside the parts of an OUTPUT of parts, whose ledger is elsewhere.
RUNS = "runs"
_log = logging.getLogger(__name__)


def find_sources(input_path: Path | Address, *, null_names: bool = False, output: Path | None = None) -> list[Source]:
    """List what INPUT holds, with its state: files by their ids, the items of a shard in its order; see `find_files`.

    Raises:
        UsageError: INPUT does not exist, a list, a manifest or the store cannot be read, or two items have one id.
        NotAuthorisedError: a store refused the credentials.
        ServerUnreachableError: a store was away for longer than is waited.
    """
    files = find_files(input_path, null_names=null_names, output=output)
    return unpacked(files, is_folder=is_folder(input_path))


def find_files(
    input_path: Path | Address, *, null_names: bool = False, output: Path | None = None, aside: Aside = apart
) -> list[Source]:
    """List the files of INPUT with their state, shards as they are; see `find_paths`.

    INPUT may be an address: of all images, documents and shards below a prefix, or of one object. Ids are keys relative
    to it. What asks a store does so `aside`. Raises as `find_sources` does.
    """
    if isinstance(input_path, Address):
        return sorted(_below(input_path, aside))
    paths = find_paths(input_path, null_names=null_names, output=output)
    return with_stamps(starmap(Source, sorted(paths.items())), aside)


def is_folder(place: Path | Address) -> bool:
    """Whether a place is a folder, or by its name a prefix."""
    return place.is_dir() if isinstance(place, Path) else not place.name.lower().endswith(EXTENSIONS)


def _below(address: Address, aside: Aside) -> Iterator[Source]:
    """The objects of an address; obstore's keys have no empty parts, and none that is "." or ".."."""
    prefix = address.key.rstrip("/")
    for key, stamp in aside(list_objects, address, EXTENSIONS):
        relative = key.removeprefix(prefix).removeprefix("/") or address.name
        yield Source(page_id_of(relative), str(address._replace(key=key)), stamp)


def find_paths(input_path: Path, *, null_names: bool = False, output: Path | None = None) -> dict[str, str]:
    """Find the files of INPUT by their ids, shards as they are; what cannot be read is found too, and fails by name.

    INPUT is a folder (searched recursively, links followed), one file, a `.txt` list of files, or `-` for a list on
    standard input. Names in a list are relative to its folder, those on standard input to the working one, or
    addresses; they end with a newline, or NUL for `null_names`. A path named twice is one file.

    What `quintet` wrote is no input, and left out: `pages` and `exports` of OUTPUT, and of any folder with a ledger,
    and PDFs beside their originals (see `own_pdfs`). What is left out is logged.

    Raises:
        UsageError: INPUT does not exist or the list cannot be read.
    """
    results = _Results(output)
    if input_path != STANDARD_INPUT and input_path.is_dir():
        root = str(input_path)
        paths = {page_id_of(os.path.relpath(path, root)): path for path in _Walk(root, results)}
    else:
        listed = dict(_listed(input_path, b"\0" if null_names else b"\n"))
        folders = {os.path.dirname(path) for path in listed.values() if not is_address(path)}  # noqa: PTH120 - they are strings
        written = {folder for folder in sorted(folders) if results.hold(folder, _place_of(folder))}
        paths = {page_id: path for page_id, path in listed.items() if os.path.dirname(path) not in written}  # noqa: PTH120
        for page_id in [page_id for page_id, path in paths.items() if lies_beside_input(path)]:
            results.note(paths.pop(page_id))
    results.tell()
    return paths


def _listed(input_path: Path, end: bytes) -> Iterator[tuple[str, str]]:
    if input_path == STANDARD_INPUT:
        return _from_list(sys.stdin.buffer.read(), Path.cwd(), end)
    if not os.path.lexists(input_path):
        raise UsageError(f"INPUT {input_path} does not exist; give a folder, a file or a {LIST_EXTENSION} list")
    if input_path.suffix.lower() == LIST_EXTENSION:
        try:
            return _from_list(input_path.read_bytes(), input_path.parent, end)
        except OSError as error:
            raise UsageError(f"the list {input_path} cannot be read ({error.strerror}); make it readable") from error
    return iter([(page_id_of(input_path.name), str(input_path))])


def names_files(place: Path) -> bool:
    """Whether a path is that of a file or a list, by its name: INPUT may be gone."""
    return place.name == STANDARD_INPUT.name or place.name.lower().endswith((LIST_EXTENSION, *EXTENSIONS))


class _Results:
    """What runs wrote, which is no input: it would grow with every run that reads it."""

    def __init__(self, output: Path | None) -> None:
        places = [_place_of(str(output / name)) for name in RESULTS] if output else []
        self._roots = tuple(filter(None, places))
        self._met: dict[str, None] = {}

    def hold(self, folder: str, place: str) -> bool:
        """Whether a folder is among OUTPUT's results; `place` is its path without links."""
        held = any(place == root or place.startswith(root + "/") for root in self._roots)
        if held:
            self.note(folder)
        return held

    def note(self, folder: str) -> None:
        """Note that a folder or file is left out."""
        self._met[folder] = None

    def tell(self) -> None:
        """Log what was left out."""
        if self._met:
            _log.warning("left out of INPUT, as results of reading: %s", some(list(self._met)))


class _Walk:
    """Paths of images and documents below a folder, and of folders that cannot be listed.

    Every real folder (device and inode) is visited once. Links wait until no folder is left, so that a folder below
    the root keeps its own name. Without recursion: a path of 4,096 bytes has up to 2,048 folders.
    """

    def __init__(self, root: str, results: _Results) -> None:
        self._results = results
        self._folders = [(root, _place_of(root))]  # with their paths without links
        self._links: deque[str] = deque()
        self._seen: set[tuple[int, int]] = set()
        self._again: list[str] = []

    def __iter__(self) -> Iterator[str]:
        while self._folders or self._links:
            folder, place = self._folders.pop() if self._folders else (self._links.popleft(), "")
            try:
                entries = self._entries(folder)
            except OSError:
                yield folder
                continue
            place = place or _place_of(folder)
            if not self._results.hold(folder, place):
                yield from self._files(entries, place)
        if self._again:
            told = f"{len(self._again)} links to folders that are read under another name"
            _log.warning("left out of INPUT, %s: %s", told, some(self._again))

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What a folder holds; nothing if it has been visited."""
        status = os.stat(folder)  # noqa: PTH116 - surrogate-escaped names stay plain strings here
        here = (status.st_dev, status.st_ino)
        if here in self._seen:
            self._again.append(folder)
            return []
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        self._seen.add(here)
        return entries

    def _files(self, entries: list[os.DirEntry[str]], place: str) -> Iterator[str]:
        """Yield the files of a folder, and keep its folders for later, but for a run's results."""
        names = {entry.name for entry in entries}
        written = RESULTS if LEDGER in names or {RUNS, "parts"} <= names else ()
        for entry in entries:
            if not _is_folder(entry):
                if lies_beside_input(entry.path):
                    self._results.note(entry.path)
                elif entry.name.lower().endswith(EXTENSIONS):
                    yield entry.path
            elif entry.name in written:
                self._results.note(entry.path)
            elif entry.is_symlink():
                self._links.append(entry.path)
            else:
                self._folders.append((entry.path, f"{place}/{entry.name}"))


def _place_of(folder: str) -> str:
    """A folder's path without links; empty if it cannot be reached, which reading says by name."""
    try:
        os.stat(folder)  # noqa: PTH116 - realpath would recurse through a chain of links that the system refuses
    except (OSError, ValueError):  # ValueError: a NUL byte in a name from a list
        return ""
    return os.path.realpath(folder)


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
        if not name:
            continue
        place = place_of(name)
        if isinstance(place, Address):
            yield page_id_of(str(place)), str(place)
        else:
            name = str(place) if name.startswith("file:") else name
            path = os.path.join(root, name)  # noqa: PTH118 - Path would fold "..", which may pass through a link
            yield page_id_of(name.removeprefix(prefix)), path
