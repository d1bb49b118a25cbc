"""The OUTPUT folder: who may write it, where each answer goes, and how it gets there whole or not at all."""

import fcntl
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from quintet_client.errors import OutputUnwritableError
from quintet_client.input.finding.walk import LEDGER
from quintet_client.input.own_pdfs import HEAD_BYTES, is_marked
from quintet_client.input.page_ids import document_of
from quintet_client.output.files import open_file, read_file, remove_file, replaced, size_of_file, write_file
from quintet_client.output.formats import FORMATS, Format
from quintet_client.output.ledger import Ended, Ledger, Row, UnusableLedgerError

# A ledger and the results that it accounts for.
_RESULTS = ("pages", "exports", *(f"{LEDGER}{part}" for part in ("", "-wal", "-shm", "-journal")))


_log = logging.getLogger(__name__)


class Output:
    """One OUTPUT folder. It may be a link, but no link inside it is followed.

    Whatever cannot be written raises OutputUnwritableError, and leaves no partial file under its name.

    Nothing is fsynced page by page (at hundreds of pages a second the disk would do nothing else): a rename is atomic
    for all processes, whichever is killed; a power cut may leave short files, which the next run notices by
    the size in the ledger. `settle` closes that window at the end of a run.
    """

    in_parts = False  # or a file a page

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / LEDGER
        self.report = folder / "report.json"
        self.failed = folder / "failed.jsonl"
        self.exports = folder / "exports"

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Make the folder and keep every other client out of it meanwhile.

        Raises:
            OutputUnwritableError: it cannot be made or written, holds a link, or another client is writing it.
        """
        with locked(self.folder, (*_RESULTS, ".lock")):
            with writing(self.folder):
                (self.folder / "pages").mkdir(exist_ok=True)
            yield

    def sync(self, *, forked: bool = False) -> None:
        """Have the ledger know what OUTPUT holds, as it does."""

    def begin(self, *, forked: bool = False) -> int:
        """Make ready for `write`; returns the number of the run, 0 where nobody counts them."""
        return 0

    def start_anew(self) -> None:
        """Remove the earlier results; those that no sound ledger accounts for are set aside."""
        try:
            if self.lacks_its_ledger:
                raise UnusableLedgerError(f"{self.ledger} is missing or empty")
            with Ledger.open(self.ledger) as ledger:
                ledger.check()
                for row in ledger.rows("ok"):
                    self.remove_page(row.page_id)
                ledger.forget()
        except UnusableLedgerError as error:
            _log.warning("the earlier results were moved to %s: %s", self.set_aside(), error)

    def set_aside(self) -> Path:
        """Move the ledger with its results into a new folder in this one, and return that."""
        places = (self.folder / f"set-aside-{number}" for number in itertools.count(1))
        place = next(place for place in places if not place.exists())
        with writing(place):
            place.mkdir()
            for name in _RESULTS:
                with suppress(FileNotFoundError):
                    (self.folder / name).rename(place / name)
            (self.folder / "pages").mkdir()
        return place

    @property
    def lacks_its_ledger(self) -> bool:
        """Whether there are answers, and a ledger that is missing or empty."""
        with writing(self.folder), os.scandir(self.folder / "pages") as answers:
            return size_of_file(self.folder, LEDGER) <= 0 and any(answers)

    def size_of(self, page_id: str) -> int:
        """Return the size of a page's answer in bytes, -1 if there is none."""
        return size_of_file(self.folder, _page_path(page_id))

    def read_page(self, page_id: str, most_bytes: int = sys.maxsize) -> bytes:
        """Return a page's answer; raises OSError if there is none, or it is longer."""
        return read_file(self.folder, _page_path(page_id), most_bytes)

    def write(self, ended: Ended, then: Callable[[Row], None]) -> None:
        """Put a page's end in place, then call `then` with its row; safe to share between threads."""
        if ended.document:
            self.write_page(ended.row.page_id, ended.document)
        else:
            self.remove_page(ended.row.page_id)  # an earlier answer is not this file's answer any more
        then(ended.row)

    def flush(self) -> None:
        """Put in place what `write` still holds."""

    def write_page(self, page_id: str, document: bytes) -> None:
        """Write a page's answer; exports of an earlier one are removed."""
        self.remove_exports(document_of(page_id))
        with self.replaced(_page_path(page_id)) as file:
            file.write(document)

    def remove_page(self, page_id: str) -> None:
        """Remove a page's answer, if there is one, and the exports that show it."""
        self.remove_exports(document_of(page_id))
        path = _page_path(page_id)
        with writing(self.folder / path):
            remove_file(self.folder, path)

    def write_export(self, form: Format, name: str, content: bytes) -> None:
        """Write a page or document in one format."""
        with self.replaced(_export_path(form, name)) as file:
            file.write(content)
        self._remove_earlier(form, name)

    def has_export(self, form: Format, name: str) -> bool:
        """Whether a page or document is there in one format."""
        return size_of_file(self.folder, _export_path(form, name)) >= 0

    def remove_exports(self, name: str) -> None:
        """Remove the files of all formats that were made of a page or document."""
        if not self.exports.exists():  # asked for every page that is written
            return
        for form in FORMATS:
            if not form.whole_run:
                with suppress(NotADirectoryError, IsADirectoryError):
                    remove_file(self.folder, _export_path(form, name))
                self._remove_earlier(form, name)

    def gone_documents(self) -> list[str]:
        """Documents that were held, and whose exports may be there still; in a folder they go with the results."""
        return []

    def _remove_earlier(self, form: Format, name: str) -> None:
        """Remove the file that an earlier version made under another name; one that is marked is another document's."""
        path = f"exports/{form.earlier_path_of(name)}"
        if path == _export_path(form, name):
            return
        with suppress(OSError):
            with open_file(self.folder, path) as file:
                is_earlier = not is_marked(file.read(HEAD_BYTES))
            if is_earlier:
                remove_file(self.folder, path)

    @contextmanager
    def replaced(self, path: str) -> Iterator[BinaryIO]:
        """Yield a file to write that then replaces the one at a path below this folder."""
        with writing(self.folder / path), replaced(self.folder, path) as file:
            yield file

    def write_account(self, report: bytes, failed: bytes) -> None:
        """Write report.json and failed.jsonl, and have the disk hold what was written so far."""
        write_atomically(self.failed, failed)
        write_atomically(self.report, report)
        os.sync()

    def read_report(self) -> bytes:
        """Return report.json; raises OSError if there is none."""
        return self.report.read_bytes()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; raises OutputUnwritableError."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path.parent, path.name, content)


@contextmanager
def locked(folder: Path, no_links: Sequence[str] = (".lock",)) -> Iterator[None]:
    """Make a folder, and keep every other client out of it meanwhile.

    Raises:
        OutputUnwritableError: it cannot be made, one of those names in it is a link, or another client is writing it.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in map(folder.joinpath, no_links):  # SQLite and the lock would follow links
            if path.is_symlink():
                raise OutputUnwritableError(f"{path} is a link; remove it or give another OUTPUT")
        # A record lock belongs to this process alone: unlike flock's, it is not inherited by the loader's
        # processes, which outlive a killed client by seconds and would lock out its successor.
        lock = (folder / ".lock").open("a")
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputUnwritableError(
                f"another client is writing {folder}; wait for it, or give another OUTPUT"
            ) from error
        yield


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError into an error that says what cannot be written, why, and what to do."""
    try:
        yield
    except OSError as error:
        raise OutputUnwritableError(
            f"{path} cannot be written ({error.strerror}); free space or give another OUTPUT"
        ) from error


def _page_path(page_id: str) -> str:
    return f"pages/{page_id}.json"


def _export_path(form: Format, name: str) -> str:
    return f"exports/{form.path_of(name)}"
