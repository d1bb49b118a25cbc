"""The main path of `quintet read`: loader → sender → writers → ledger → exports, with bounded work between them.

Every arrow is bounded: a slow disk holds up the writers, full writers the senders, and the loader waits for room among
the pages and bytes under way. A page is entered as ok only after its file is in place, and has exactly one end a run.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from quintet_client.cancellation import BoundedPool, Cancellation
from quintet_client.errors import QuintetError, ServerUnreachableError, UsageError
from quintet_client.exports.during_run import RunExports
from quintet_client.input.documents.codes import DocumentCode
from quintet_client.input.documents.passwords import read_passwords
from quintet_client.input.loader import PageLoader
from quintet_client.output.folder import Output
from quintet_client.output.ledger import Ended, Row
from quintet_client.output.ledger_writer import LedgerWriter
from quintet_client.output.opening import open_output
from quintet_client.run.account import Account, inputs_of
from quintet_client.run.events import Events
from quintet_client.run.plan import Plan
from quintet_client.run.progress import Progress
from quintet_client.run.report import Clock, Report, Tally
from quintet_client.run.services import Services, in_flight_limit
from quintet_client.run.settings import ReadSettings
from quintet_client.service.batch_request import USUAL_PAGES, in_batches
from quintet_client.service.delivery import Delivery, GiveUpPolicy
from quintet_client.service.outcomes import Answered, Final, PageFailed
from quintet_client.service.page import Limits, Page
from quintet_client.service.sender import InFlightLimit, Sender
from quintet_client.service.transport import Transport
from quintet_client.shared_memory.slabs import Slabs

# What an interrupted run waits for answers on their way; a supervisor waits twice that or more.
GRACE_S = 5.0
_log = logging.getLogger(__name__)


def read_all(
    settings: ReadSettings,
    transports: Mapping[str, Transport],
    cancellation: Cancellation,
    events: Events,
    slabs: Slabs | None = None,
) -> Report:
    """Read every page of INPUT that has no end yet, and report.

    Args:
        settings: the run.
        transports: how pages reach each of the services, by its address.
        cancellation: ends the run early; pages without an end are left for the next run.
        events: told what happens, for other programs.
        slabs: what pages are decoded into, for a transport that carries them through shared memory.

    Returns:
        The report, already written to OUTPUT. Faults during the run are in it, as exit code and reason.

    Raises:
        QuintetError: the run could not begin.
    """
    clock = Clock()
    output = open_output(settings.output_path)
    if settings.formats and output.in_parts:
        raise UsageError(
            "--formats writes beside a file a page, and OUTPUT is of parts: leave it out, then `quintet export`"
        )
    passwords = read_passwords(settings.password_file)
    files, left_out = inputs_of(settings, output)
    with output.claim():
        plan, account = Account.open(files, output, settings, clock, events, left_out=left_out, passwords=passwords)
        output.begin(forked=True)
        exports = RunExports(output, settings.formats, files, cancellation, passwords)
        run = _Run(settings, passwords, cancellation, output, account.tally, clock, events, exports)
        delivery, limit = _delivery(run, transports, plan.model)
        limits = _ask_limits(delivery, cancellation) if plan.todo else None
        model = _Reading(run, delivery, limit, limits, slabs, plan).read() if limits else plan.model
        account.tally.sent_again = delivery.sent_again
        for transport in transports.values():
            clock.service.update(transport.stage_seconds)
        exports.finish()
        return account.close(cancellation, model, exports.tally if settings.formats else None)


@dataclass(frozen=True, slots=True)
class _Run:
    """What all parts of a run share."""

    settings: ReadSettings
    passwords: Sequence[str]
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


def _delivery(
    run: _Run, transports: Mapping[str, Transport], model: str | None
) -> tuple[Delivery | Services, InFlightLimit]:
    """What sees the pages of a run through, and the limit of what is under way."""
    settings, cancellation = run.settings, run.cancellation
    if len(transports) > 1:
        services = Services(transports, settings, cancellation, model)
        return services, services.limit
    give_up = GiveUpPolicy(settings.give_up_s, settings.timeout_s)
    delivery = Delivery(next(iter(transports.values())), give_up, settings.retries, cancellation.wait)
    return delivery, in_flight_limit(settings, cancellation)


def _ask_limits(delivery: Delivery | Services, cancellation: Cancellation) -> Limits | None:
    """What the service takes; None if the run ended meanwhile, as it does when the service cannot be reached."""
    try:
        limits = delivery.ask_limits()
    except QuintetError as error:
        cancellation.cancel(error)
    return None if cancellation.cancelled else limits


class _Reading:
    """The stages of one run; the loader forks its process in the constructor, before any thread is there."""

    def __init__(
        self,
        run: _Run,
        delivery: Delivery | Services,
        limit: InFlightLimit,
        limits: Limits,
        slabs: Slabs | None,
        plan: Plan,
    ) -> None:
        settings, cancellation = run.settings, run.cancellation
        self._run = run
        self._delivery = delivery
        self._limit = limit
        self._slabs = slabs
        self._most_bytes = limits.max_request_bytes // 2
        self._loader = PageLoader(
            plan.todo, settings.batch, settings.loaders, settings.dpi, limits, slabs, passwords=run.passwords
        )
        self._sender = Sender(delivery, self._limit, cancellation, self._finish_page)
        self._writers = BoundedPool(settings.writers, settings.in_flight, cancellation, "writer")
        self._ledger = LedgerWriter(run.output.ledger, plan.model, cancellation, run.enter)

    def read(self) -> str | None:
        """Bring the planned pages to their end; returns the fingerprint of the model that OUTPUT now holds."""
        self._ledger.start()
        self._run.exports.start()
        with Progress(self._run.tally, self._run.clock, self._run.events, self._sender):
            with closing(self._loader):
                for batch in in_batches(self._loaded(), self._pages_a_request, self._most_bytes):
                    self._note_sent(batch)
                    if not self._sender.put(batch):
                        break
            self._sender.close(GRACE_S)
            self._writers.close()
            self._flush()
            self._ledger.close()
        return self._ledger.model

    def _loaded(self) -> Iterator[Page]:
        """Yield loaded pages until the run ends, timing how long each kept us waiting."""
        pages = iter(self._loader)
        while not self._run.cancellation.cancelled:
            begin = time.monotonic()
            page = next(pages, None)
            if page is None:
                return
            self._run.clock.load.add(time.monotonic() - begin)
            if page.code == DocumentCode.STORE_UNREACHABLE:  # the others would wait as long, each
                self._run.cancellation.cancel(ServerUnreachableError(f"{page.message}; run again to go on"))
                return
            yield page

    def _pages_a_request(self) -> int:
        """Pages that travel together as things stand: two requests a service at least: one is read meanwhile."""
        if not self._delivery.takes_frames:
            return 1
        most_pages = max(1, self._limit.most_pages // self._delivery.services)
        if asked := self._run.settings.pack:
            return min(asked, most_pages)
        return min(USUAL_PAGES, -(-most_pages // 2))

    def _note_sent(self, batch: Sequence[Page]) -> None:
        """Enter pages as sent, and tell the slabs of those that will have their end without the loader."""
        for page in batch:
            if not page.code:
                self._ledger.record(
                    Row(page.page_id, "sent", size_bytes=page.stamp.size_bytes, mtime_ns=page.stamp.mtime_ns)
                )
            if self._slabs and page.extent:
                self._slabs.sent(page.extent)

    def _finish_page(self, page: Page, outcome: Final, seconds: float) -> None:
        """Hand a page's end to the writers and make room for another page; called by the sender's threads."""
        if not page.code:
            self._run.clock.request.add(seconds)
            self._limit.adapt(seconds, time.monotonic())
        self._sender.release(page)
        if self._slabs and page.extent:
            self._slabs.ended(page.extent)
        self._writers.submit(self._write, _row(page, outcome), outcome)

    def _write(self, row: Row, outcome: Final) -> None:
        """Put one answer in place, then enter the page's end."""
        if isinstance(outcome, PageFailed):
            _log.info("%s failed: %s: %s (request %s)", row.page_id, row.code, row.message, row.request_id or "none")
            self._run.output.write(Ended(row), self._ledger.record)
            return
        begin = time.monotonic()
        self._ledger.claim(outcome.model)
        self._run.output.write(Ended(row, outcome.model, outcome.document), self._ledger.record)
        self._run.clock.write.add(time.monotonic() - begin)
        _log.debug("%s ok (request %s)", row.page_id, row.request_id)

    def _flush(self) -> None:
        try:
            self._run.output.flush()
        except QuintetError as error:
            self._run.cancellation.cancel(error)


def _row(page: Page, outcome: Final) -> Row:
    """What the ledger learns of a page's end."""
    code, message, output_bytes = "", "", -1
    if isinstance(outcome, Answered):
        output_bytes = len(outcome.document)
    else:
        code, message = outcome.code, outcome.message
    state = "ok" if isinstance(outcome, Answered) else "failed"
    return Row(page.page_id, state, outcome.tries, code, message, *page.stamp, output_bytes, outcome.request_id)
