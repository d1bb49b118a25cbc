"""The main path of `quintet read`: loader → senders → writers → ledger → exports, with bounded work between them.

Every arrow is bounded: a slow disk holds up the writers, full writers the senders, and the loader waits for room among
the pages and bytes under way. However many pages a request carries, `--in-flight` counts pages.
A page is entered as ok only after its file is in place, and has exactly one end a run.
"""

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from quintet_client.cancellation import Cancellation, Room, Stage
from quintet_client.errors import ExitCode, QuintetError
from quintet_client.exports.during_run import RunExports
from quintet_client.input.loader import LoadedPage, PageLoader
from quintet_client.input.sources import find_sources
from quintet_client.run.events import Events
from quintet_client.run.ledger import Ledger, Row
from quintet_client.run.ledger_writer import LedgerWriter
from quintet_client.run.output import Output, write_atomically
from quintet_client.run.plan import Plan, make_plan
from quintet_client.run.progress import Progress
from quintet_client.run.report import Clock, Report, Tally
from quintet_client.run.settings import ReadSettings
from quintet_client.service.batching import in_packs
from quintet_client.service.delivery import Delivered, Delivery, GiveUpPolicy
from quintet_client.service.outcomes import Answered
from quintet_client.service.transport import Item, Transport
from quintet_client.shared_memory.slabs import Slabs

# What an interrupted run waits for answers on their way; a supervisor's give_up is usually twice that or more.
GRACE_S = 5.0
# A front end holds every body that is under way; TorchServe's has a heap of 2 GiB.
MOST_BYTES_IN_FLIGHT = 512 * 1024 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """A page on its way from sender to writer: the row it will have, and its answer if it was read."""

    row: Row
    outcome: Answered | None


def read_all(
    settings: ReadSettings, transport: Transport, cancellation: Cancellation, events: Events, slabs: Slabs | None = None
) -> Report:
    """Read every page of INPUT that has no end yet, and give account.

    Args:
        settings: the run.
        transport: how pages reach the server.
        cancellation: ends the run early; pages without an end are left for the next run.
        events: told what happens, for other programs.
        slabs: what pages are decoded into, for a transport that carries them through shared memory.

    Returns:
        The report, already written to OUTPUT. Faults during the run are in it, as exit code and reason.

    Raises:
        QuintetError: the run could not begin.
    """
    clock = Clock()
    output = Output(settings.output_path)
    files = find_sources(settings.input_path, null_names=settings.null_names)
    with output.claim():
        plan = make_plan(files, output, settings)
        tally = Tally(plan.inputs, plan.skipped_ok, plan.skipped_failed)
        _log.info("%d pages: %d to read, %d done earlier", tally.inputs, len(plan.todo), tally.skipped)
        events.start(tally, plan.model)
        with Ledger.open(output.ledger) as ledger:
            ledger.add_input(os.path.abspath(settings.input_path))  # noqa: PTH100 - resolve() would follow links
        exports = RunExports(output, settings.formats, files, cancellation)
        run = _Run(settings, cancellation, output, tally, clock, events, exports)
        model = _Feed(run, transport, slabs).read(plan)
        run.exports.finish()
        return _close(run, model)


@dataclass(frozen=True, slots=True)
class _Run:
    """What all parts of a run share."""

    settings: ReadSettings
    cancellation: Cancellation
    output: Output
    tally: Tally
    clock: Clock
    events: Events
    exports: RunExports

    def enter(self, rows: Sequence[Row]) -> None:
        """Count rows that the ledger holds safely, and tell those who count on it."""
        self.tally.add(rows)
        self.events.failed(rows)
        self.exports.committed(rows)


class _Feed:
    """The stages of one run."""

    def __init__(self, run: _Run, transport: Transport, slabs: Slabs | None) -> None:
        self._halt = run.cancellation
        self._output = run.output
        self._clock = run.clock
        self._run = run
        self._transport = transport
        self._slabs = slabs
        self._room = Room(run.settings.in_flight, MOST_BYTES_IN_FLIGHT, run.cancellation)
        give_up = GiveUpPolicy(run.settings.give_up_s, run.settings.timeout_s)
        self._delivery = Delivery(transport, give_up, run.settings.retries, run.cancellation.wait)

    def read(self, plan: Plan) -> str | None:
        """Bring the planned pages to their end; returns the fingerprint of the model that OUTPUT now holds."""
        if not plan.todo:
            return plan.model
        at_most, cancellation = self._run.settings, self._halt
        # Forks, so before the threads.
        loader = PageLoader(plan.todo, at_most.batch, at_most.loaders, at_most.dpi, self._slabs)
        with Progress(self._run.tally, self._clock, self._run.events):
            self._run.exports.start()
            self._ledger_writer = LedgerWriter(self._output.ledger, plan.model, cancellation, self._run.enter)
            self._writers = Stage(
                self._write,
                threads=at_most.writers,
                room=at_most.in_flight,
                cancellation=cancellation,
                drops_on_cancel=False,
            )
            senders = Stage(
                self._send,
                threads=min(at_most.in_flight, len(plan.todo)),  # as many as there are requests of one page
                room=at_most.in_flight,
                cancellation=cancellation,
                drops_on_cancel=True,
            )
            for pack in in_packs(self._timed(loader), self._pack_size):
                if self._room.take(len(pack), sum(len(page.body) for page in pack)):
                    self._note_sent(pack)
                    senders.put(pack)
            senders.finish(GRACE_S)
            self._writers.finish(GRACE_S)
            self._ledger_writer.close()
        return self._ledger_writer.model

    def _timed(self, loader: PageLoader) -> Iterator[LoadedPage]:
        """Yield loaded pages until the run ends, timing how long each kept us waiting."""
        pages = iter(loader)
        while not self._halt.cancelled:
            begin = time.monotonic()
            page = next(pages, None)
            if page is None:
                return
            self._clock.load.add(time.monotonic() - begin)
            yield page

    def _pack_size(self) -> int:
        """Pages that travel together as things stand."""
        return min(self._run.settings.pack, self._run.settings.in_flight) if self._transport.takes_packs else 1

    def _note_sent(self, pages: Sequence[LoadedPage]) -> None:
        """Tell the slabs of pages that will have their end without the loader."""
        for page in pages:
            if self._slabs and page.extent:
                self._slabs.sent(page.extent)

    def _send(self, pages: Sequence[LoadedPage]) -> None:
        """Have pages read that travel together; what comes of each goes to the writers as soon as it is known."""
        under_way: dict[str, LoadedPage] = {}
        for page in pages:
            if page.error_code:
                self._end(page, Finished(_row(page), None))
            else:
                self._ledger_writer.record(_row(page))
                under_way[page.page_id] = page
        items = [Item(page.page_id, page.body, page.extent) for page in under_way.values()]
        begin = time.monotonic()
        for item, delivered in self._delivery.deliver_all(items):
            self._clock.request.add(time.monotonic() - begin)
            page = under_way[item.page_id]
            self._end(page, _finished(_row(page), delivered))

    def _end(self, page: LoadedPage, finished: Finished) -> None:
        """Hand one page over to the writers and make room for another."""
        self._room.give(1, len(page.body))
        if self._slabs and page.extent:
            self._slabs.ended(page.extent)
        self._writers.put(finished)

    def _write(self, finished: Finished) -> None:
        """Put one answer in place, then enter the page's end."""
        if finished.outcome is None:
            self._output.remove_page(finished.row.page_id)  # an earlier answer is not this file's answer any more
            row = finished.row
            _log.info("%s failed: %s: %s (request %s)", row.page_id, row.code, row.message, row.request_id or "none")
        else:
            begin = time.monotonic()
            self._ledger_writer.claim(finished.outcome.model)
            self._output.write_page(finished.row.page_id, finished.outcome.document)
            self._clock.write.add(time.monotonic() - begin)
            _log.debug("%s ok (request %s)", finished.row.page_id, finished.row.request_id)
        self._ledger_writer.record(finished.row)


def _row(page: LoadedPage) -> Row:
    """What the ledger learns of a page before it travels: that it does, or why it cannot."""
    row = Row(page.page_id, "sent", size_bytes=page.stamp.size_bytes, mtime_ns=page.stamp.mtime_ns)
    return replace(row, state="failed", code=page.error_code, message=page.error) if page.error_code else row


def _finished(row: Row, delivered: Delivered) -> Finished:
    outcome = delivered.outcome
    if isinstance(outcome, Answered):
        ok = replace(row, state="ok", tries=delivered.tries, output_bytes=len(outcome.document))
        return Finished(replace(ok, request_id=outcome.request_id), outcome)
    failed = replace(row, state="failed", tries=delivered.tries, code=outcome.code, message=outcome.message)
    return Finished(replace(failed, request_id=outcome.request_id), None)


def _close(run: _Run, model: str | None) -> Report:
    """Check the account, write it down and return it."""
    exit_code, reason = _verdict(run)
    exports = run.exports.tally.document() if run.settings.formats else None
    report = Report(run.tally, run.clock, run.clock.seconds, model, run.settings, exit_code, reason, exports)
    with Ledger.open(run.output.ledger) as ledger:
        failed = [_failure_line(row) for row in ledger.rows("failed")]
    write_atomically(run.output.failed, b"".join(failed))
    write_atomically(run.output.report, report.to_json())
    run.output.settle()
    return report


def _verdict(run: _Run) -> tuple[ExitCode, str]:
    cancellation, tally = run.cancellation, run.tally
    if isinstance(cancellation.cause, QuintetError):
        return cancellation.cause.exit_code, str(cancellation.cause)
    if cancellation.cause is not None:
        return ExitCode.UNEXPECTED, f"{type(cancellation.cause).__name__}: {cancellation.cause}"
    if tally.left:
        return ExitCode.UNEXPECTED, f"the account does not add up: {tally.left} of {tally.inputs} pages have no end"
    if tally.failed or tally.skipped_failed:
        return ExitCode.SOME_FAILED, f"{tally.failed + tally.skipped_failed} pages failed, listed in failed.jsonl"
    if not run.exports.tally.complete:
        return ExitCode.EXPORTS_MISSING, "every page was read, but not every export made: see above"
    return ExitCode.OK, ""


def _failure_line(row: Row) -> bytes:
    line = {name: getattr(row, name) for name in ("page_id", "code", "message", "tries", "request_id")}
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
