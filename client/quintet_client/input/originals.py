"""Where the files are now that pages were read from."""

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from quintet_client.errors import QuintetError, UsageError
from quintet_client.input.page_ids import path_of
from quintet_client.input.regular_files import why_not
from quintet_client.input.sources import Source, find_sources

_SHORTENED = "%~"


class NoOriginalError(QuintetError):
    """The file of a page is not there, or is none that may be opened; the message says why, for a person."""


class Originals:
    """INPUT of a run, or of several that wrote the same OUTPUT; safe to share between threads."""

    def __init__(self, inputs: Sequence[Path], files: Iterable[Source] = (), *, links_may_leave: bool = False) -> None:
        """Take the places to look in.

        Args:
            inputs: folders, files or lists; of two files with one id the later place's was read last.
            files: what is known to be there.
            links_may_leave: whether links below a folder are followed out of it, as reading does.
        """
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
        if not any(place.exists() for place in self.inputs):
            return "INPUT is no longer where it was; give its place with --input"
        return ""

    def find(self, name: str) -> Path:
        """Find the file of an image or document by its id in the ledger.

        Raises:
            NoOriginalError: it is not there, or lies outside INPUT.
        """
        if name in self._known:
            return Path(self._known[name])
        try:
            if self.missing:
                raise NoOriginalError(self.missing)
            for root in filter(Path.exists, reversed(self.inputs)):
                path = self._path(root, name)
                if path is not None and path.is_file():
                    return path
        except (OSError, ValueError) as error:  # a folder that nobody may look into, a NUL byte
            raise NoOriginalError(f"the image's name leads nowhere ({why_not(error)})") from error
        raise NoOriginalError("the image is no longer in INPUT")

    def _path(self, root: Path, name: str) -> Path | None:
        if not root.is_dir():
            # A single file, or a list: whoever ran the client named each file, wherever it lies.
            found = self._sources(root).get(name)
            return Path(found) if found else None
        relative = os.path.relpath(self._sources(root).get(name, ""), root) if _SHORTENED in name else path_of(name)
        path = Path(self._place(root / relative))
        if not path.is_relative_to(self._place(root)):
            raise NoOriginalError("the image's name leads out of INPUT, and is not followed")
        return path

    def _sources(self, root: Path) -> dict[str, str]:
        """Return all paths of INPUT by id: a list's, and those of names too long to be read out of the id."""
        with self._lock:
            if root not in self._listed:
                try:
                    self._listed[root] = {source.page_id: source.path for source in find_sources(root)}
                except UsageError as error:
                    raise NoOriginalError(f"INPUT cannot be listed: {error}") from error
            return self._listed[root]
