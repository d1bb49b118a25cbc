"""The files below a folder."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from quintet_client.input.finding.first_bytes import has_no_extension, looked_at
from quintet_client.input.finding.left_out import LeftOut, Reason
from quintet_client.input.finding.selection import Selection, is_read_by_name
from quintet_client.input.own_pdfs import lies_beside_input
from quintet_client.input.source import SHARD_EXTENSIONS

# What `quintet read` writes into OUTPUT, and what tells an OUTPUT from other folders.
RESULTS = ("exports", "pages", "parts")
LEDGER = "ledger.sqlite"
_ACCOUNT = (LEDGER, f"{LEDGER}-shm", f"{LEDGER}-wal", "failed.jsonl", "report.json", ".lock")
# Beside the parts of an OUTPUT of parts, whose ledger is elsewhere.
RUNS = "runs"


class Met(NamedTuple):
    """A file, or a folder that cannot be listed."""

    relative: str  # below INPUT
    path: str
    extension: str = ""  # that a document without one could have


class Results:
    """What runs wrote, which is no input: it would grow with every run that reads it."""

    def __init__(self, output: Path | None) -> None:
        places = [place_of_folder(str(output / name)) for name in RESULTS] if output else []
        self._roots = tuple(filter(None, places))

    def hold(self, place: str) -> bool:
        """Whether a folder, by its path without links, is among OUTPUT's results."""
        return any(place == root or place.startswith(root + "/") for root in self._roots)


class Walk:
    """Images, documents and shards below a folder, and folders that cannot be listed.

    Every real folder (device and inode) is visited once. Links wait until no folder is left, so that a folder below
    the root keeps its own name. Without recursion: a path of 4,096 bytes has up to 2,048 folders.
    """

    def __init__(self, root: str, results: Results, selection: Selection, left_out: LeftOut) -> None:
        self._results = results
        self._selection = selection
        self._left_out = left_out
        self._begin = len(os.path.join(root, ""))  # noqa: PTH118 - where paths below it begin
        self._folders = [(root, place_of_folder(root))]  # with their paths without links
        self._links: deque[str] = deque()
        self._seen: set[tuple[int, int]] = set()

    def __iter__(self) -> Iterator[Met]:
        while self._folders or self._links:
            folder, place = self._folders.pop() if self._folders else (self._links.popleft(), "")
            try:
                entries = self._entries(folder)
            except OSError:
                yield Met(folder[self._begin :], folder)
                continue
            place = place or place_of_folder(folder)
            if self._results.hold(place):
                self._left_out.add(Reason.RESULTS, folder[self._begin :] or folder)
            else:
                yield from self._files(entries, place)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What a folder holds; nothing if it has been visited."""
        status = os.stat(folder)  # noqa: PTH116 - surrogate-escaped names stay plain strings here
        here = (status.st_dev, status.st_ino)
        if here in self._seen:
            self._left_out.add(Reason.FOLDER_READ_ANYWAY, folder[self._begin :])
            return []
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        self._seen.add(here)
        return entries

    def _files(self, entries: list[os.DirEntry[str]], place: str) -> Iterator[Met]:
        """Yield the files of a folder that are read, and keep its folders for later, but for a run's results."""
        names = {entry.name for entry in entries}
        is_output = LEDGER in names or {RUNS, "parts"} <= names
        for entry in entries:
            is_folder = _is_folder(entry)
            met = Met(entry.path[self._begin :], entry.path)
            is_result = is_output and entry.name in (RESULTS if is_folder else _ACCOUNT)
            is_result = is_result or (not is_folder and lies_beside_input(entry.path))
            reason = Reason.RESULTS if is_result else self._selection.hides(entry.name)
            if reason is None and is_folder:
                reason = self._selection.excludes(met.relative, is_folder=True)
            elif reason is None:
                met, reason = self._looked_at(met, entry.name)
            if reason is not None:
                self._left_out.add(reason, met.relative)
            elif not is_folder:
                yield met
            elif entry.is_symlink():
                self._links.append(entry.path)
            else:
                self._folders.append((entry.path, f"{place}/{entry.name}"))

    def _looked_at(self, met: Met, name: str) -> tuple[Met, Reason | None]:
        """Why a file is not read, or None: by its name, and without an extension by its first bytes."""
        is_known = is_read_by_name(name)
        if not is_known and not has_no_extension(name):
            return met, Reason.OTHER_FORMAT
        reason = self._selection.excludes(met.relative, is_shard=name.lower().endswith(SHARD_EXTENSIONS))
        if is_known or reason:
            return met, reason
        extension, reason = looked_at(met.path)
        return met._replace(extension=extension), reason


def place_of_folder(folder: str) -> str:
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
