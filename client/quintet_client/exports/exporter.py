"""From OUTPUT's results to OUTPUT/exports: the main path of `quintet export`, and of `quintet read --formats`.

No page is sent again: what a format shows is in the results and, for pdf, in the files they came from.
A file of an earlier export stays until its new content is whole.
"""

import logging
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from tqdm import tqdm

from quintet_client.cancellation import BoundedPool, Cancellation
from quintet_client.errors import OutputUnwritableError, UsageError
from quintet_client.exports.beside import FORMATS_BESIDE, BesideInput
from quintet_client.exports.documents import (
    Document,
    DocumentPage,
    ExportError,
    Rows,
    have_ended,
    in_documents,
    load_page,
)
from quintet_client.input.addresses import Address
from quintet_client.input.documents.passwords import read_passwords
from quintet_client.input.originals import NoOriginalError, Originals, input_of
from quintet_client.input.source import Source
from quintet_client.input.stores.copies import MOST_BYTES
from quintet_client.output.folder import Output
from quintet_client.output.formats import FORMATS, NAMES, Format, choose
from quintet_client.output.ledger import Ledger
from quintet_client.output.opening import open_results

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """The settings of one `quintet export`."""

    output_path: Path | Address  # with the results
    formats: tuple[str, ...]  # see `output.formats`
    input_path: Path | Address | None = None  # where the files that were read are now, if they were moved
    into: Path | None = None  # folder for the exports, if OUTPUT is an address
    beside_input: bool = False  # write beside the files that were read, not below OUTPUT
    writers: int = 4  # threads
    password_file: Path | None = None  # of the passwords that PDFs are opened with, one a line

    def __post_init__(self) -> None:
        if not choose(self.formats):
            raise UsageError(f"--to names no format; give some of {','.join(NAMES)}")
        self._check_places()
        if self.writers < 1:
            raise UsageError(f"--writers is {self.writers}; the least allowed is 1")

    def _check_places(self) -> None:
        others = [name for name in self.formats if name not in FORMATS_BESIDE]
        if self.beside_input and others:
            raise UsageError(
                f"--beside-input writes {','.join(FORMATS_BESIDE)}; export {','.join(others)} in a call without it"
            )
        if self.beside_input and (self.into is not None or isinstance(self.input_path, Address)):
            raise UsageError(
                "--beside-input writes into the folders of INPUT; leave --into out, and --input an address"
            )
        needs_place = isinstance(self.output_path, Address) and not self.beside_input
        if (self.into is None) is needs_place:
            raise UsageError("--into FOLDER goes with an OUTPUT at an address, and with no other")
        if isinstance(self.input_path, Path) and not self.input_path.exists():
            raise UsageError(f"--input {self.input_path} does not exist; give what `quintet read` was given as INPUT")


class ExportTally:
    """What became of the documents of a run. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self.failed: set[tuple[str, str]] = set()
        self.ended_early = ""

    @property
    def complete(self) -> bool:
        """Whether everything was made that could be."""
        return not self.failed and not self.ended_early

    def count(self, what: str) -> None:
        """Count a document as exported, unread (no page of it was read) or pending."""
        with self._lock:
            self._counts[what] += 1

    def fail(self, name: str, form: str, reason: str) -> None:
        """Note that a document could not be made in one format."""
        _log.warning("%s could not be exported as %s: %s", name, form, reason)
        with self._lock:
            self.failed.add((name, form))

    def summary(self) -> str:
        """The summary for standard output."""
        counts = self.document()
        lines = [f"documents exported {counts['exported']}, without a page that was read {counts['unread']}"]
        if counts["pending"]:
            lines.append(f"{counts['pending']} not read to their end: run `quintet read` again, then this")
        if self.failed:
            lines.append(f"{len(self.failed)} outputs could not be made, see above; the others are there")
        return "\n".join(lines) + "\n"

    def document(self) -> dict[str, Any]:
        """What report.json holds."""
        counts = {what: self._counts[what] for what in ("exported", "unread", "pending")}
        return {**counts, "failed_outputs": len(self.failed), "ended_early": self.ended_early}


@dataclass(frozen=True, slots=True)
class Exporter:
    """Makes the files of documents; safe to share between threads. Raises OutputUnwritableError if it cannot write."""

    output: Output
    formats: Sequence[Format]
    originals: Originals
    tally: ExportTally
    cancellation: Cancellation
    beside: BesideInput | None = None  # where files go instead of OUTPUT
    passwords: Sequence[str] = field(default=(), repr=False)  # of PDFs

    def export(self, document: Rows) -> None:
        """Make a document's files, unless the run is cancelled; a format that fails does so alone."""
        if self.cancellation.cancelled:
            return
        name, rows = document
        pages = tuple(load_page(row, self.output) for row in rows)
        found = Document(name, pages, original_bytes=rows[0].size_bytes)
        if found.state == "pending":
            self.tally.count("pending")
        elif found.state == "unread":
            self.output.remove_exports(name)  # a failure is never an empty file
            self.tally.count("unread")
        else:
            original = self._original(name)
            found = replace(found, original=self._reader(original), passwords=self.passwords)
            for form in self.formats:
                if self.cancellation.cancelled:
                    return
                if not form.whole_run:
                    self._make(form, found, original)
            self.tally.count("exported")

    def export_run(self) -> None:
        """Make the files that hold the whole run."""
        for form in self.formats:
            if form.whole_run:
                try:
                    self._write_run(form)
                except ExportError as error:
                    self.tally.fail("the run", form.name, str(error))

    def lacks(self, document: Rows) -> bool:
        """Whether a finished document is missing in a format that has not failed for it."""
        name, rows = document
        if not have_ended(rows) or not any(row.state == "ok" for row in rows):
            return False
        return any(
            not form.whole_run and (name, form.name) not in self.tally.failed and not self.output.has_export(form, name)
            for form in self.formats
        )

    def _write_run(self, form: Format) -> None:
        with ExitStack() as opened:
            files = [opened.enter_context(self.output.replaced(f"exports/{path}")) for path in form.files]
            _module_of(form).write(self._documents(form) if form.by_document else self._pages(form), *files)

    def _pages(self, form: Format) -> Iterator[DocumentPage]:
        rows = (row for _name, rows in documents_of(self.output) for row in rows)
        return _shown_by(form, (load_page(row, self.output) for row in rows))

    def _documents(self, form: Format) -> Iterator[Document]:
        """Yield the documents that were read to their end, one in memory; what the format cannot show fails alone."""
        with Ledger.open(self.output.ledger) as ledger:
            for name, rows in documents_of(self.output):
                pages = tuple(load_page(row, self.output) for row in rows)
                read_at = max(ledger.updated_at(row.page_id) for row in rows)
                found = Document(name, pages, None, rows[0].size_bytes, rows[0].mtime_ns, read_at)
                if found.state != "read":
                    continue
                try:
                    shown = replace(found, pages=tuple(_shown_by(form, pages)))
                except ExportError as error:
                    self.tally.fail(name, form.name, str(error))
                else:
                    yield shown

    def _make(self, form: Format, document: Document, original: Source | None) -> None:
        try:
            shown = replace(document, pages=tuple(_shown_by(form, document.pages)))
            content: bytes = _module_of(form).render(shown)
            self._write(form, document.name, original, content)
        except OutputUnwritableError:
            raise
        except ExportError as error:
            self.tally.fail(document.name, form.name, str(error))
        except Exception as error:  # noqa: BLE001 - one document's fault in one format, whatever library finds it
            self.tally.fail(document.name, form.name, f"{type(error).__name__}: {error}")

    def _write(self, form: Format, name: str, original: Source | None, content: bytes) -> None:
        if self.beside is not None:
            self.beside.write(form, name, original, content)
        else:
            self.output.write_export(form, name, content)

    def _original(self, name: str) -> Source | None:
        """The file that a document was read from, if a format needs it, or its place."""
        if self.beside is not None or any(form.needs_original for form in self.formats):
            with suppress(NoOriginalError):
                return self.originals.find(name)
        return None

    def _reader(self, original: Source | None) -> Callable[[], bytes] | None:
        if original is None:
            return None
        # A large file of this machine has always been read; what a store would have to send is bounded.
        most_bytes = MOST_BYTES if original.is_at_address or original.part else sys.maxsize
        return lambda: self.originals.read(original, most_bytes)


def _shown_by(form: Format, pages: Iterable[DocumentPage]) -> Iterator[DocumentPage]:
    """Yield pages as they are; raises ExportError at one whose result is of another schema than the format shows."""
    for page in pages:
        if form.schema and page.schema not in {form.schema, ""}:
            fitting = ",".join(other.name for other in FORMATS if other.schema in {page.schema, ""})
            raise ExportError(
                f"it shows {form.schema}, and {page.page_id} was read as {page.schema}; of that there are {fitting}"
            )
        yield page


def _module_of(form: Format) -> ModuleType:
    return import_module(f"quintet_client.exports.{form.module}")


def documents_of(output: Output) -> Iterator[Rows]:
    """Yield all documents of the ledger with their rows, sorted by name, the rows of each in page order."""
    with Ledger.open(output.ledger) as ledger:
        yield from in_documents(ledger.rows_by_document())


def export_results(settings: ExportSettings, cancellation: Cancellation) -> ExportTally:
    """Export all finished results of an OUTPUT: what `quintet export` does.

    Raises:
        UsageError: OUTPUT holds no results.
        OutputUnwritableError: a file could not be written, or another client is at work in OUTPUT.
        InterruptedRunError: by a signal.
    """
    passwords = read_passwords(settings.password_file)
    output = open_results(settings.output_path, settings.into)
    with output.claim():
        with Ledger.open(output.ledger) as ledger:
            inputs = list(map(input_of, ledger.inputs())) if settings.input_path is None else [settings.input_path]
            count = ledger.count_documents()
        if settings.beside_input and inputs and all(isinstance(place, Address) for place in inputs):
            raise UsageError(f"INPUT {inputs[-1]} has no folders to write beside; export without --beside-input")
        originals = Originals(inputs)
        beside = BesideInput(output.ledger) if settings.beside_input else None
        for name in output.gone_documents():
            output.remove_exports(name)
        exporter = Exporter(output, choose(settings.formats), originals, ExportTally(), cancellation, beside, passwords)
        documents = tqdm(documents_of(output), unit="document", total=count, disable=not sys.stderr.isatty())
        # Decoding, compressing and writing release the GIL.
        with closing(BoundedPool(settings.writers, settings.writers, cancellation, "export")) as pool:
            for document in documents:
                pool.submit(exporter.export, document)
        if not cancellation.cancelled:
            exporter.export_run()
    if cancellation.cause is not None:
        raise cancellation.cause
    return exporter.tally
