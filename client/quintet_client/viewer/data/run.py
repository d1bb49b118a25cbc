"""One OUTPUT folder, read-only: its ledger, its report.json, its answers, and the images they were read from."""

import json
import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from quintet_client.api.results import PageResult, page_of
from quintet_client.errors import PageError, QuintetError
from quintet_client.input.addresses import Address
from quintet_client.input.originals import Originals, input_of
from quintet_client.output.opening import open_results
from quintet_client.service.documents import PAGE_SCHEMA, parsed
from quintet_client.viewer.data.ledger import LedgerReader
from quintet_client.viewer.data.pictures import PagePictures

# An answer of ten thousand lines has two million bytes; what is larger is no page.
MAX_ANSWER_BYTES = 32 * 1024 * 1024
# A store is asked for new parts so often, if anybody looks.
_FRESH_S = 5.0
# Of a result that is shown as text; longer ones are cut, and not indented.
_MOST_CHARS = 100_000
# A list of numbers in indented JSON, which is read more easily in one line; no string holds a line break.
_NUMBERS = re.compile(r"\[\n +([-+.eE\d, \n]+?)\n *\]")
_log = logging.getLogger(__name__)


class Run:
    """A run, finished or going on."""

    def __init__(
        self, output_path: Path | Address, input_path: Path | Address | None = None, passwords: Sequence[str] = ()
    ) -> None:
        """Take INPUT from the run itself without `input_path`; raises UsageError if OUTPUT holds no ledger."""
        self.place = output_path.absolute() if isinstance(output_path, Path) else output_path
        self._output = open_results(output_path)
        self._refreshing = threading.Lock()
        self._fresh_until = time.monotonic() + _FRESH_S
        self.ledger = LedgerReader(self._output.ledger)
        self.originals = Originals([input_path] if input_path else self._inputs_of_the_run())
        self.pictures = PagePictures(self.originals, passwords)

    def refresh(self) -> None:
        """Take in what came to OUTPUT meanwhile, where the ledger does not tell by itself; at most now and then."""
        with self._refreshing:
            if time.monotonic() > self._fresh_until:
                try:
                    self._output.sync()
                except QuintetError as error:
                    _log.warning("what is shown may be old: %s", error)
                self._fresh_until = time.monotonic() + _FRESH_S

    def close(self) -> None:
        """End the background work."""
        self.pictures.close()

    def report(self) -> dict[str, Any]:
        """Return report.json; empty while the first run goes on, or if it is damaged."""
        try:
            report = json.loads(self._output.read_report())
        except (OSError, ValueError, RecursionError):
            return {}
        return report if isinstance(report, dict) else {}

    def answer(self, page_id: str) -> bytes:
        """Return the JSON of a page that was read; raises OSError if there is none, or it would be outside OUTPUT."""
        return self._output.read_page(page_id, MAX_ANSWER_BYTES)

    def document(self, page_id: str) -> dict[str, Any]:
        """Return a result of any schema; empty if there is none, or it is no JSON object."""
        try:
            return parsed(self.answer(page_id))
        except (OSError, ValueError):
            return {}

    def text(self, page_id: str) -> str:
        """Return a result as a person reads it: indented JSON, or what else it is; raises OSError as `answer` does."""
        answer = self.answer(page_id)
        if len(answer) <= _MOST_CHARS:
            with suppress(ValueError, RecursionError):
                indented = json.dumps(parsed(answer), indent=2, ensure_ascii=False)
                return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", indented)
        return answer.decode("utf-8", "replace")[:_MOST_CHARS]

    def page(self, page_id: str) -> PageResult | None:
        """Return a page that was read; None if there is no result, or none of quintet.page/1 as documented."""
        return page_in(self.document(page_id))

    def _inputs_of_the_run(self) -> list[Path | Address]:
        """Return each INPUT that the ledger notes; none if that is damaged."""
        try:
            return list(map(input_of, json.loads(self.ledger.facts().get("inputs", "[]"))))
        except (ValueError, TypeError, AttributeError, RecursionError):
            return []


def page_in(document: Mapping[str, Any]) -> PageResult | None:
    """The page that a result holds; None if it is of another schema, or not as documented."""
    try:
        return page_of(document) if document.get("schema") == PAGE_SCHEMA else None
    except PageError:
        return None
