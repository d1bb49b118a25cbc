"""The OUTPUT folder: who may write it, where each answer goes, and how it gets there whole or not at all."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from quintet_client.errors import OutputUnwritableError
from quintet_client.exports.registry import FORMATS, Format
from quintet_client.names import derived, document_of


class Output:
    """One OUTPUT folder.

    Nothing is fsynced page by page (at hundreds of pages a second that is what a disk would do all day): a rename is
    atomic for everybody on this machine, whoever is killed; a power cut may leave short files, which the next run tells
    by the size in the ledger. `settle` closes that window at the end of a run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger.sqlite"
        self.report = folder / "report.json"
        self.failed = folder / "failed.jsonl"
        self.exports = folder / "exports"

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Make the folder and keep every other client out of it meanwhile.

        Raises:
            OutputUnwritableError: it cannot be made or written, or another client is at work in it.
        """
        try:
            (self.folder / "pages").mkdir(parents=True, exist_ok=True)
            # A record lock belongs to this process alone: unlike flock's, it is not inherited by the loader's
            # processes, which outlive a killed client by seconds and would lock out its successor.
            lock = (self.folder / ".lock").open("a")
        except OSError as error:
            raise unwritable(self.folder, error) from error
        with lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise OutputUnwritableError(
                    f"another client is writing {self.folder}; wait for it, or give another OUTPUT"
                ) from error
            yield

    def path_of(self, page_id: str) -> Path:
        """Return where the answer of a page goes."""
        return self.folder / "pages" / f"{page_id}.json"

    def size_of(self, page_id: str) -> int:
        """Return the size of a page's answer in bytes, -1 if there is none."""
        try:
            return self.path_of(page_id).stat().st_size
        except OSError:
            return -1

    def write_page(self, page_id: str, document: bytes) -> None:
        """Put a page's answer in place.

        Raises:
            OutputUnwritableError: it could not be written; no partial file is left under its name.
        """
        self._forget_exports(page_id)
        write_atomically(self.path_of(page_id), document)

    def remove_page(self, page_id: str) -> None:
        """Remove a page's answer, if there is one."""
        self._forget_exports(page_id)
        with suppress(FileNotFoundError):
            self.path_of(page_id).unlink()

    def export_path(self, form: Format, name: str) -> Path:
        """Return where the file of one format goes that is made of a page or document."""
        return self.exports / form.name / derived(name, form.suffix)

    def remove_exports(self, name: str) -> None:
        """Remove the files that were made of a page or document."""
        for form in FORMATS:
            if not form.whole_run:
                with suppress(FileNotFoundError, NotADirectoryError):
                    self.export_path(form, name).unlink()

    def _forget_exports(self, page_id: str) -> None:
        """An export never shows an earlier answer than the one that is there."""
        self.remove_exports(document_of(page_id))

    def settle(self) -> None:
        """Have the disk hold what was written so far."""
        os.sync()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that under its name there is the old content or the new, never a part.

    Raises:
        OutputUnwritableError: it could not be written.
    """
    with replaced_whole(path) as partial:
        partial.write_bytes(content)


@contextmanager
def replaced_whole(path: Path) -> Iterator[Path]:
    """Give the name under which to write a file that then takes `path`'s place, unless the writing fails.

    The temporary file stands in the same folder (a rename does not cross file systems) under a name made from the
    file's own: the one a killed client leaves behind is overwritten when the page is done again.

    Raises:
        OutputUnwritableError: it could not be written.
    """
    partial = path.parent / f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}.partial"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def unwritable(path: Path, error: OSError) -> OutputUnwritableError:
    """Say what cannot be written, why, and what to do."""
    return OutputUnwritableError(f"{path} cannot be written ({error.strerror}); free space or give another OUTPUT")
