"""The images that a run read, by page id: where they are now, and never anything outside INPUT.

Pages of documents are rendered for it, by a process of their own (see `documents.renderer`).
"""

import os
import stat
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quintet_client.errors import QuintetError, UsageError
from quintet_client.input.documents.renderer import Renderer
from quintet_client.input.page_ids import page_place, path_of
from quintet_client.input.regular_files import FileStamp, stamp_of
from quintet_client.input.sources import find_sources

# What the bulk client sends at most.
MAX_IMAGE_BYTES = 256 * 1024 * 1024
# An A4 page has 1754 pixels from top to bottom: as many as a screen shows of it, and a bit to look closer.
SCREEN_DPI = 150
_SHORTENED = "%~"


class NoPictureError(QuintetError):
    """A page cannot be shown as an image; the message says why, for a person."""


@dataclass(frozen=True, slots=True)
class Original:
    """One image.

    Attributes:
        path: the file.
        page: the page in it, from 1, if it is a document; 0 of an image.
    """

    path: Path
    page: int = 0

    def read(self) -> bytes:
        """Return the file of an image.

        Raises:
            NoPictureError: it cannot be read.
        """
        try:
            return read_regular(self.path, MAX_IMAGE_BYTES)
        except OSError as error:
            raise NoPictureError(f"the image cannot be read ({error.strerror})") from error


class Originals:
    """INPUT of a run, or of several that wrote the same OUTPUT; safe to share between threads."""

    def __init__(self, inputs: Sequence[Path]) -> None:
        """Take the places to look in.

        Args:
            inputs: folders, files or lists; of two images with one id the later place's was read last.
        """
        self.inputs = tuple(inputs)
        self._renderer = Renderer()
        self._latest: tuple[tuple[Original, FileStamp, int] | None, bytes] = (None, b"")
        self._lock = threading.Lock()
        self._listed: dict[Path, dict[str, str]] = {}

    @property
    def missing(self) -> str:
        """Why there are no images at all; empty if there may be."""
        if not self.inputs:
            return "the run does not say where its INPUT was; give it with --input"
        if not any(place.exists() for place in self.inputs):
            return "INPUT is no longer where it was; give its place with --input"
        return ""

    def find(self, page_id: str) -> Original:
        """Find the image of a page.

        Args:
            page_id: as the ledger has it.

        Raises:
            NoPictureError: it is not there, or lies outside INPUT.
        """
        if self.missing:
            raise NoPictureError(self.missing)
        name, number = page_place(page_id)
        for root in filter(Path.exists, reversed(self.inputs)):
            path = self._path(root, name)
            if path is not None and path.is_file():
                return Original(path, number if name != page_id else 0)
        raise NoPictureError("the image is no longer in INPUT")

    def picture(self, page_id: str, dpi: int = SCREEN_DPI) -> bytes:
        """Return a page as an encoded image.

        Args:
            page_id: as the ledger has it.
            dpi: what a page of a PDF is rendered at.

        Raises:
            NoPictureError: it is not there, lies outside INPUT, or cannot be rendered.
        """
        original = self.find(page_id)
        if not original.page:
            return original.read()
        asked, (known, picture) = (original, stamp_of(str(original.path)), dpi), self._latest
        if asked == known:  # a screen asks whether there is an image, and a moment later for the image
            return picture
        answer = self._renderer.render(str(original.path), original.page, dpi)
        if answer.code:
            raise NoPictureError(answer.message)
        self._latest = (asked, answer.body)
        return answer.body

    def close(self) -> None:
        """End what renders documents."""
        self._renderer.close()

    def _path(self, root: Path, page_id: str) -> Path | None:
        if not root.is_dir():
            # A single file, or a list: whoever ran the client named each file, wherever it lies.
            found = self._sources(root).get(page_id)
            return Path(found) if found else None
        relative = os.path.relpath(self._sources(root).get(page_id, ""), root) if _SHORTENED in page_id else ""
        try:
            path = (root / (relative or path_of(page_id))).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # a NUL byte; a link to itself
            raise NoPictureError("the image's name leads nowhere") from error
        if not path.is_relative_to(root.resolve()):
            raise NoPictureError("the image's name leads out of INPUT, and is not followed")
        return path

    def _sources(self, root: Path) -> dict[str, str]:
        """Return all paths of INPUT by id: a list's, and those of names too long to be read out of the id."""
        with self._lock:
            if root not in self._listed:
                try:
                    self._listed[root] = {source.page_id: source.path for source in find_sources(root)}
                except UsageError as error:
                    raise NoPictureError(f"INPUT cannot be listed: {error}") from error
            return self._listed[root]


def read_regular(path: Path, most_bytes: int) -> bytes:
    """Read a regular file whole.

    Raises:
        OSError: it is none, cannot be read, or is longer.
    """
    # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a regular file")
        if status.st_size > most_bytes:
            raise OSError(0, f"{status.st_size} bytes; at most {most_bytes} are read")
        return file.readall()
