"""The one thread that writes the ledger during a run: rows in batches, the fingerprint before its first result."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, Queue

from quintet_client.cancellation import Cancellation
from quintet_client.errors import ModelMismatchError
from quintet_client.output.ledger import Ledger, Row

# A commit costs about a millisecond whatever it holds; half a second of work is what a kill costs.
COMMIT_EVERY_S = 0.5
COMMIT_ROWS = 512
_POLL_S = 0.1


class LedgerWriter:
    """Takes rows from any thread and commits them in order; `on_commit` gets them once they are safe.

    The run is cancelled if the ledger cannot be written.
    """

    def __init__(
        self, path: Path, model: str | None, cancellation: Cancellation, on_commit: Callable[[Sequence[Row]], None]
    ) -> None:
        self._path = path
        self._cancellation = cancellation
        self._on_commit = on_commit
        self._lock = threading.Lock()
        self.model = model  # the fingerprint of all results in OUTPUT; None as long as there are none
        self._closing = threading.Event()
        self._queue: Queue[Row | str] = Queue(maxsize=4 * COMMIT_ROWS)
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def claim(self, model: str) -> None:
        """Raise ModelMismatchError if a result was made by another model than the earlier ones."""
        with self._lock:
            if self.model is None:
                self.model = model
                self._queue.put(model)  # before any row that depends on it: the queue keeps the order
            if self.model != model:
                raise ModelMismatchError(
                    f"OUTPUT holds results of model {self.model}, the server answers with {model}; "
                    "give another OUTPUT, or --overwrite to start anew"
                )

    def record(self, row: Row) -> None:
        """Queue a row for the next commit."""
        self._queue.put(row)

    def close(self) -> None:
        """Write what is left and end the thread."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with Ledger.open(self._path) as ledger:
                while not self._done():
                    self._commit_some(ledger)
        except BaseException as error:  # noqa: BLE001 - the thread's outermost boundary; the run ends with it
            self._cancellation.cancel(error)
            while not self._done():
                self._next()  # no thread may block on a queue that is not emptied

    def _done(self) -> bool:
        return self._closing.is_set() and self._queue.empty()

    def _next(self) -> Row | str | None:
        try:
            return self._queue.get(timeout=_POLL_S)
        except Empty:
            return None

    def _commit_some(self, ledger: Ledger) -> None:
        """Gather rows for a while, then commit them."""
        rows: list[Row] = []
        model: str | None = None
        ends_at = time.monotonic() + COMMIT_EVERY_S
        while len(rows) < COMMIT_ROWS and time.monotonic() < ends_at and not self._done():
            entry = self._next()
            if isinstance(entry, Row):
                rows.append(entry)
            elif entry is not None:
                model = entry
        if rows or model is not None:
            ledger.record(rows, model)
            self._on_commit(rows)
