"""What is still to do: the sources beside the ledger of earlier runs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from quintet_client.ledger import Ledger, Row
from quintet_client.sources import Source
from quintet_client.writer import Output


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Attributes:
        todo: the pages to read.
        skipped_ok: how many inputs were read by an earlier run and still have their answer.
        skipped_failed: how many inputs failed in an earlier run.
        model: fingerprint of the earlier results; None if there are none.
    """

    todo: Sequence[Source]
    skipped_ok: int
    skipped_failed: int
    model: str | None


def make_plan(sources: Sequence[Source], output: Output, *, retry_failed: bool, overwrite: bool) -> Plan:
    """Decide which pages are to be read, and enter those in the ledger as pending.

    Args:
        sources: all inputs.
        output: the claimed OUTPUT.
        retry_failed: read pages again that failed earlier.
        overwrite: forget all earlier results and remove their files.

    Raises:
        OutputUnwritableError: the ledger cannot be written.
    """
    with Ledger.open(output.ledger) as ledger:
        if overwrite:
            _start_anew(ledger, output)
        skipped = {"ok": 0, "failed": 0}
        todo = []
        for source in sources:
            row = ledger.find(source.page_id)
            if row is not None and _has_its_end(row, source, output, retry_failed):
                skipped[row.state] += 1
            else:
                todo.append(source)
        ledger.record(Row(source.page_id, "pending") for source in todo)
        return Plan(todo, skipped["ok"], skipped["failed"], ledger.model())


def _start_anew(ledger: Ledger, output: Output) -> None:
    for row in ledger.rows("ok"):
        output.remove_page(row.page_id)
    ledger.forget()


def _has_its_end(row: Row, source: Source, output: Output, retry_failed: bool) -> bool:
    """Whether the page needs no reading: its end is known, its file unchanged, its answer whole."""
    if row.state not in ("ok", "failed") or (row.size_bytes, row.mtime_ns) != _stamp(source):
        return False
    if row.state == "failed":
        return not retry_failed
    return output.size_of(row.page_id) == row.output_bytes


def _stamp(source: Source) -> tuple[int, int]:
    try:
        status = os.stat(source.path)  # noqa: PTH116 - surrogate-escaped names stay plain strings here
    except (OSError, ValueError):
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)
