"""`quintet read --formats`: documents are exported as soon as their last page is finished, while others are read."""

import logging
import threading
from collections.abc import Callable, Sequence

from quintet_client.cancellation import BoundedPool, Cancellation
from quintet_client.exports.documents import have_ended, in_documents
from quintet_client.exports.exporter import Exporter, ExportTally, documents_of
from quintet_client.input.originals import Originals
from quintet_client.input.page_ids import document_of
from quintet_client.input.source import Source
from quintet_client.output.folder import Output
from quintet_client.output.formats import choose
from quintet_client.output.ledger import Ledger, Row

# Reading comes first; two threads keep up with a service that reads some hundred pages a second.
_THREADS = 2
_MOST_WAITING = 256
_LOCKS = 64
_log = logging.getLogger(__name__)


class RunExports:
    """The exports of one run of `quintet read` into a claimed OUTPUT; without formats nothing is done.

    A fault here never ends the run or costs a page its result: it is reported, and `quintet export` or the same command
    again makes what is missing. The exports end when the run is cancelled, and never cancel it.
    """

    def __init__(
        self,
        output: Output,
        names: Sequence[str],
        sources: Sequence[Source],
        run: Cancellation,
        passwords: Sequence[str] = (),
    ) -> None:
        """Start no thread yet; raises UsageError if a format is unknown or lacks its packages."""
        self.tally = ExportTally()
        originals = Originals((), sources)
        self._names = {source.page_id for source in sources}
        self._exporter = Exporter(output, choose(names), originals, self.tally, run, passwords=passwords)
        self._run = run
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        self._pool: BoundedPool | None = None

    def start(self) -> None:
        """Start to take documents."""
        if self._exporter.formats:
            self._pool = BoundedPool(_THREADS, _MOST_WAITING, self._run, "export")

    def committed(self, rows: Sequence[Row]) -> None:
        """Export the documents of rows that the ledger has committed; blocks while many are waiting."""
        for name in {document_of(row.page_id): None for row in rows if row.state in {"ok", "failed"}}:
            self._submit(name)

    def finish(self) -> None:
        """Finish what is under way; then, unless the run was cut short, what is missing and what holds all of it."""
        if not self._exporter.formats:
            return
        self._drain()
        if self._goes_on:
            self.start()
            for document in documents_of(self._exporter.output):
                if document[0] in self._names and self._exporter.lacks(document):
                    self._submit(document[0])
            self._drain()
        self._guarded(self._exporter.export_run)
        if self._run.cancelled:
            self.tally.ended_early = "the run was cut short"

    def _submit(self, name: str) -> None:
        if self._pool is not None:
            self._pool.submit(self._export, name)

    def _drain(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    @property
    def _goes_on(self) -> bool:
        return not self._run.cancelled and not self.tally.ended_early

    def _export(self, name: str) -> None:
        # Pages of one document may be committed one after the other, and two threads must not write one file.
        with self._locks[hash(name) % _LOCKS]:
            self._guarded(lambda: self._export_if_ended(name))

    def _export_if_ended(self, name: str) -> None:
        with Ledger.open(self._exporter.output.ledger) as ledger:
            documents = dict(in_documents(ledger.rows_of(name)))
        if have_ended(documents[name]):
            self._exporter.export((name, documents[name]))

    def _guarded(self, work: Callable[[], None]) -> None:
        """Work unless the exports have ended; an exception ends them, not the run."""
        if not self._goes_on:
            return
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the outermost boundary of the exports
            self.tally.ended_early = str(error) or type(error).__name__
            _log.error("no more exports: %s; `quintet export` makes what is missing", error)
