"""From OUTPUT's results to OUTPUT/exports: the main path of `quintet export`, and of `quintet read --formats`.

Nothing is read again, nothing is sent: what a format shows is in the results and, for pdf, in the files they came from.
A file of an earlier export stays until its new content is whole.
"""

import logging
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tqdm import tqdm

from quintet_client.cancellation import BoundedPool, Cancellation
from quintet_client.errors import UsageError
from quintet_client.exports.documents import (
    Document,
    DocumentPage,
    Original,
    have_ended,
    in_documents,
    load_page,
)
from quintet_client.exports.failures import ExportError
from quintet_client.exports.originals import Originals
from quintet_client.run.formats import Format, choose
from quintet_client.run.ledger import Ledger, Row
from quintet_client.run.output import Output, replaced_whole
from quintet_client.run.settings import ExportSettings

# A document under way is in memory with its result and its file.
_ROOM = 16
_log = logging.getLogger(__name__)

Rows = tuple[str, tuple[Row, ...]]


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
        """Note that a document could not be had in one format."""
        _log.warning("%s could not be exported as %s: %s", name, form, reason)
        with self._lock:
            self.failed.add((name, form))

    def summary(self) -> str:
        """Return the last words of an export, for standard output."""
        counts = self.document()
        lines = [f"documents exported {counts['exported']}, without a page that was read {counts['unread']}"]
        if counts["pending"]:
            lines.append(f"{counts['pending']} not read to their end: run `quintet read` again, then this")
        if self.failed:
            lines.append(f"{len(self.failed)} outputs could not be made, see above; the others are there")
        return "\n".join(lines) + "\n"

    def document(self) -> dict[str, Any]:
        """Return what report.json holds of it."""
        counts = {what: self._counts[what] for what in ("exported", "unread", "pending")}
        return {**counts, "failed_outputs": len(self.failed), "ended_early": self.ended_early}


@dataclass(frozen=True, slots=True)
class Exporter:
    """Makes the files of one document after the other; safe to share between threads.

    Attributes:
        output: the OUTPUT.
        formats: what is to be made.
        originals: finds the files that were read.
        tally: what became of it.
    """

    output: Output
    formats: Sequence[Format]
    originals: Originals
    tally: ExportTally

    def export(self, document: Rows) -> None:
        """Make a document's files; a format that fails does so alone.

        Raises:
            OutputUnwritableError: a file could not be written.
        """
        name, rows = document
        pages = tuple(load_page(row, self.output) for row in rows)
        if any(page.state == "pending" for page in pages):
            self.tally.count("pending")
            return
        if not any(page.page for page in pages):
            self.output.remove_exports(name)  # a failure is never an empty file
            self.tally.count("unread")
            return
        for form in self.formats:
            if not form.whole_run:
                self._make(form, Document(name, pages, self._original(form, name, rows)))
        self.tally.count("exported")

    def tables(self) -> None:
        """Make the tables of the whole run.

        Raises:
            OutputUnwritableError: a table could not be written.
        """
        for form in self.formats:
            if form.whole_run:
                paths = [self.output.exports / f"{table}{form.suffix}" for table in ("pages", "lines")]
                with replaced_whole(paths[0]) as pages_path, replaced_whole(paths[1]) as lines_path:
                    write = import_module(f"quintet_client.exports.{form.module}").write_tables
                    write(self._all_pages(), pages_path, lines_path)

    def lacks(self, document: Rows) -> bool:
        """Whether a document that has its end was not exported in every format, as far as was tried."""
        name, rows = document
        if not have_ended(rows) or not any(row.state == "ok" for row in rows):
            return False
        return any(
            not form.whole_run and (name, form.name) not in self.tally.failed and not self.output.has_export(form, name)
            for form in self.formats
        )

    def _make(self, form: Format, document: Document) -> None:
        try:
            content: bytes = import_module(f"quintet_client.exports.{form.module}").render(document)
        except ExportError as error:
            self.tally.fail(document.name, form.name, str(error))
        except Exception as error:  # noqa: BLE001 - one document's fault in one format, whatever library finds it
            self.tally.fail(document.name, form.name, f"{type(error).__name__}: {error}")
        else:
            self.output.write_export(form, document.name, content)

    def _original(self, form: Format, name: str, rows: Sequence[Row]) -> Original | None:
        return self.originals.find(name, rows) if form.needs_original else None

    def _all_pages(self) -> Iterator[DocumentPage]:
        for _name, rows in documents_of(self.output):
            for row in rows:
                yield load_page(row, self.output)


def documents_of(output: Output) -> list[Rows]:
    """Return all documents of the ledger with their rows, sorted by name."""
    with Ledger.open(output.ledger) as ledger:
        return list(in_documents(ledger.all_rows()))


def export_all(exporter: Exporter, documents: Sequence[Rows], writers: int, cancellation: Cancellation) -> None:
    """Export documents with several threads, then the tables.

    Args:
        exporter: makes the files.
        documents: what to export.
        writers: threads; decoding, compressing and writing do not hold Python's lock.
        cancellation: ends the work early, and has the cause if a file cannot be written.
    """
    pool = BoundedPool(writers, _ROOM, cancellation, "export")
    for document in tqdm(documents, unit="document", file=sys.stderr, disable=not sys.stderr.isatty()):
        if cancellation.cancelled:
            break
        pool.submit(exporter.export, document)
    pool.close()
    if not cancellation.cancelled:
        exporter.tables()


def export_results(settings: ExportSettings, cancellation: Cancellation) -> ExportTally:
    """Export all finished results of an OUTPUT: what `quintet export` does.

    Raises:
        UsageError: OUTPUT holds no results.
        OutputUnwritableError: a file could not be written, or another client is at work in OUTPUT.
        InterruptedRunError: a signal came.
    """
    output = Output(settings.output_path)
    if not output.ledger.is_file():
        raise UsageError(
            f"{output.folder} holds no results (no {output.ledger.name}); give a folder `quintet read` wrote"
        )
    tally = ExportTally()
    with output.claim():
        with Ledger.open(output.ledger) as ledger:
            inputs = ledger.inputs() if settings.input_path is None else [str(settings.input_path)]
        exporter = Exporter(output, choose(settings.formats), Originals(inputs), tally)
        export_all(exporter, documents_of(output), settings.writers, cancellation)
    if cancellation.cause is not None:
        raise cancellation.cause
    return tally
