"""The files that pages were read from, where they are now."""

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from quintet_client.errors import QuintetError, UsageError
from quintet_client.input.addresses import is_address, was_address
from quintet_client.input.page_ids import is_shortened, path_of
from quintet_client.input.regular_files import why_not
from quintet_client.input.source import Source
from quintet_client.input.sources import find_paths

_AT_AN_ADDRESS = "the image is in a store, where originals are not looked for; give the folder of a copy with --input"


class NoOriginalError(QuintetError):
    """The file of a page is missing, or may not be opened; the message says why."""


class Originals:
    """Finds the files of runs that wrote one OUTPUT; safe to share between threads.

    `inputs` are folders, files or lists; of two files with one id the one in the later place was read last. `files` are
    known to exist. `links_may_leave` follows links below a folder out of it, as reading does.
    """

    def __init__(self, inputs: Sequence[Path], files: Iterable[Source] = (), *, links_may_leave: bool = False) -> None:
        self.inputs = tuple(inputs)
        self._known = {file.page_id: file.path for file in files}
        self._place = os.path.abspath if links_may_leave else os.path.realpath
        self._lock = threading.Lock()
        self._listed: dict[Path, dict[str, str]] = {}

    @property
    def missing(self) -> str:
        """Why there are no files at all; empty if there may be."""
        if not self.inputs:
            return "the run does not say where its INPUT was; give it with --input"
        if all(map(was_address, self.inputs)):
            return _AT_AN_ADDRESS
        if not any(place.exists() for place in self.inputs):
            return "INPUT is no longer where it was; give its place with --input"
        return ""

    def find(self, name: str) -> Path:
        """Find an image or document by its id; raises NoOriginalError if it is missing or outside INPUT."""
        if is_address(self._known.get(name, "")):
            raise NoOriginalError(_AT_AN_ADDRESS)
        if name in self._known:
            return Path(self._known[name])
        try:
            if self.missing:
                raise NoOriginalError(self.missing)
            for root in filter(Path.exists, reversed(self.inputs)):
                path = self._path(root, name)
                if path is not None and path.is_file():
                    return path
        except (OSError, ValueError) as error:  # a folder without permission, a NUL byte
            raise NoOriginalError(f"the image's name leads nowhere ({why_not(error)})") from error
        raise NoOriginalError("the image is no longer in INPUT")

    def _path(self, root: Path, name: str) -> Path | None:
        if not root.is_dir():
            # A single file, or a list: the user named each file, wherever it is.
            found = self._paths(root).get(name)
            if found and is_address(found):
                raise NoOriginalError(_AT_AN_ADDRESS)
            return Path(found) if found else None
        relative = os.path.relpath(self._paths(root).get(name, ""), root) if is_shortened(name) else path_of(name)
        path = Path(self._place(root / relative))
        if not path.is_relative_to(self._place(root)):
            raise NoOriginalError("the image's name leads out of INPUT, and is not followed")
        return path

    def _paths(self, root: Path) -> dict[str, str]:
        """All paths of INPUT by id: for lists, and for names that an id shortens."""
        with self._lock:
            if root not in self._listed:
                try:
                    self._listed[root] = find_paths(root)
                except UsageError as error:
                    raise NoOriginalError(f"INPUT cannot be listed: {error}") from error
            return self._listed[root]
