"""Progress for other programs: one JSON object a line (`quintet read --json`, described in docs/cli.md)."""

import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from quintet_client import __version__
from quintet_client.output.ledger import Row
from quintet_client.run.report import State, Tally

SCHEMA = "quintet.events/1"
_log = logging.getLogger(__name__)


class Events:
    """Writes events to a stream, or nowhere; safe to share between threads."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    @property
    def wanted(self) -> bool:
        """Whether anybody reads them."""
        return self._stream is not None

    def start(self, tally: Tally, model: str | None) -> None:
        """Say what there is to do, once it is known."""
        counts = {"inputs": tally.inputs, "skipped_ok": tally.skipped_ok, "skipped_failed": tally.skipped_failed}
        self._write("start", version=__version__, **counts, left=tally.left, model=model)

    def progress(self, state: State, pages: int, requests: int) -> None:
        """Say how far the run is, and how many pages are under way in how many requests."""
        counts = {"ok": state.ok, "failed": state.failed, "left": state.left, "sent": pages, "requests": requests}
        eta_s = None if state.eta_s is None else round(state.eta_s, 1)
        pace = round(state.pages_per_s, 3)
        self._write("progress", seconds=round(state.seconds, 3), **counts, pages_per_s=pace, eta_s=eta_s)

    def failed(self, rows: Sequence[Row]) -> None:
        """Name the pages among these rows that failed."""
        for row in rows:
            if row.state == "failed":
                self._write("page_failed", page_id=row.page_id, code=row.code, message=row.message, tries=row.tries)

    def end(self, exit_code: int, reason: str, report: Mapping[str, Any] | None) -> None:
        """Say how the run ended; without a report it did not begin."""
        self._write("end", exit_code=int(exit_code), reason=reason, report=report)

    def _write(self, event: str, **fields: object) -> None:
        with self._lock:
            if self._stream is None:
                return
            try:
                self._stream.write(json.dumps({"schema": SCHEMA, "event": event, **fields}) + "\n")
                self._stream.flush()
            except BrokenPipeError:
                self._let_go(self._stream)

    def _let_go(self, stream: TextIO) -> None:
        """Go on without a reader: pages matter more than lines about them."""
        _log.warning("nobody reads the progress on standard output any more; the run goes on")
        # What is left in the buffer would be an error again when Python closes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        self._stream = None
