"""The OUTPUT folder: who may write it, where each answer goes, and how it gets there whole or not at all."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from quintet_client.errors import OutputUnwritableError
from quintet_client.input.page_ids import derived, document_of
from quintet_client.output.files import opened, read_file, remove_file, replace_file, replaced, size_of_file
from quintet_client.output.formats import FORMATS, Format


class Output:
    """One OUTPUT folder. It may be a link, but no link inside it is followed.

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
            OutputUnwritableError: it cannot be made or written, holds a link, or another client is at work in it.
        """
        try:
            (self.folder / "pages").mkdir(parents=True, exist_ok=True)
            self._refuse_links()
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

    def size_of(self, page_id: str) -> int:
        """Return the size of a page's answer in bytes, -1 if there is none."""
        folders, name = _place_of(page_id)
        try:
            with opened(self.folder, folders, make=False) as folder:
                return size_of_file(folder, name)
        except OSError:
            return -1

    def read_page(self, page_id: str) -> bytes:
        """Return a page's answer.

        Raises:
            OSError: there is none.
        """
        folders, name = _place_of(page_id)
        with opened(self.folder, folders, make=False) as folder:
            return read_file(folder, name)

    def write_page(self, page_id: str, document: bytes) -> None:
        """Put a page's answer in place.

        Raises:
            OutputUnwritableError: it could not be written; no partial file is left under its name.
        """
        self._forget_exports(page_id)
        folders, name = _place_of(page_id)
        try:
            with opened(self.folder, folders, make=True) as folder:
                replace_file(folder, name, document)
        except OSError as error:
            raise unwritable(self.folder.joinpath(*folders, name), error) from error

    def remove_page(self, page_id: str) -> None:
        """Remove a page's answer, if there is one.

        Raises:
            OutputUnwritableError: it could not be removed.
        """
        self._forget_exports(page_id)
        folders, name = _place_of(page_id)
        try:
            with opened(self.folder, folders, make=False) as folder:
                remove_file(folder, name)
        except FileNotFoundError:
            return
        except OSError as error:
            raise unwritable(self.folder.joinpath(*folders, name), error) from error

    def write_export(self, form: Format, name: str, content: bytes) -> None:
        """Put the file of one format in place that is made of a page or document.

        Raises:
            OutputUnwritableError: it could not be written; no partial file is left under its name.
        """
        folders, file = _place_of_export(form, name)
        try:
            with opened(self.folder, folders, make=True) as folder:
                replace_file(folder, file, content)
        except OSError as error:
            raise unwritable(self.folder.joinpath(*folders, file), error) from error

    @contextmanager
    def replaced_table(self, name: str) -> Iterator[BinaryIO]:
        """Give the file to write that then is, or replaces, a table of the whole run.

        Raises:
            OutputUnwritableError: it could not be written; no partial file is left.
        """
        try:
            with opened(self.folder, ["exports"], make=True) as folder, replaced(folder, name) as file:
                yield file
        except OSError as error:
            raise unwritable(self.exports / name, error) from error

    def has_export(self, form: Format, name: str) -> bool:
        """Whether the file of one format is there."""
        folders, file = _place_of_export(form, name)
        try:
            with opened(self.folder, folders, make=False) as folder:
                return size_of_file(folder, file) >= 0
        except OSError:
            return False

    def remove_exports(self, name: str) -> None:
        """Remove the files that were made of a page or document."""
        if not self.exports.exists():  # asked for every page that is written
            return
        for form in FORMATS:
            if not form.whole_run:
                folders, file = _place_of_export(form, name)
                with (
                    suppress(FileNotFoundError, NotADirectoryError),
                    opened(self.folder, folders, make=False) as folder,
                ):
                    remove_file(folder, file)

    def _forget_exports(self, page_id: str) -> None:
        """An export never shows an earlier answer than the one that is there."""
        self.remove_exports(document_of(page_id))

    def settle(self) -> None:
        """Have the disk hold what was written so far."""
        os.sync()

    def _refuse_links(self) -> None:
        """SQLite and the lock would follow them."""
        for name in (
            "pages",
            "exports",
            ".lock",
            *(f"ledger.sqlite{part}" for part in ("", "-wal", "-shm", "-journal")),
        ):
            if (self.folder / name).is_symlink():
                raise OutputUnwritableError(f"{self.folder / name} is a link; remove it or give another OUTPUT")


def _place_of(page_id: str) -> tuple[list[str], str]:
    """Where the answer of a page goes: folders below OUTPUT, and a name."""
    *folders, name = page_id.split("/")
    return ["pages", *folders], f"{name}.json"


def _place_of_export(form: Format, name: str) -> tuple[list[str], str]:
    """Where the file of one format goes that is made of a page or document: folders below OUTPUT, and a name."""
    *folders, file = derived(name, form.suffix).split("/")
    return ["exports", form.name, *folders], file


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that under its name there is the old content or the new, never a part.

    Raises:
        OutputUnwritableError: it could not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(path.parent, (), make=False) as folder:
            replace_file(folder, path.name, content)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> OutputUnwritableError:
    """Say what cannot be written, why, and what to do."""
    return OutputUnwritableError(f"{path} cannot be written ({error.strerror}); free space or give another OUTPUT")
