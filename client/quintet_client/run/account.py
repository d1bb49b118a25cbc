"""The account of a run: what there is to do at its beginning, and at its end what became of it, written into OUTPUT."""

import json
import logging
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Self

from quintet_client.cancellation import Cancellation
from quintet_client.errors import ExitCode, QuintetError
from quintet_client.exports.exporter import ExportTally
from quintet_client.input.finding.left_out import LeftOut
from quintet_client.input.source import Source
from quintet_client.input.sources import find_sources
from quintet_client.output.folder import Output
from quintet_client.output.ledger import Ledger, Row
from quintet_client.run.events import Events
from quintet_client.run.plan import Plan, make_plan
from quintet_client.run.report import Clock, Report, Tally
from quintet_client.run.settings import RunSettings

_log = logging.getLogger(__name__)


def inputs_of(settings: RunSettings, output: Output) -> tuple[list[Source], LeftOut]:
    """Find what a run into OUTPUT is to read, and what of INPUT is no input; raises as `find_sources`."""
    left_out = LeftOut()
    null_names, folder = settings.null_names, output.folder
    files = find_sources(
        settings.input_path, settings.selection, null_names=null_names, output=folder, left_out=left_out
    )
    return files, left_out


@dataclass(frozen=True, slots=True)
class Account:
    """What a run is held to."""

    output: Output
    settings: RunSettings
    tally: Tally
    clock: Clock
    page_ids: Set[str]  # of all inputs

    @classmethod
    def open(
        cls,
        files: Sequence[Source],
        output: Output,
        settings: RunSettings,
        clock: Clock,
        events: Events,
        *,
        left_out: LeftOut,
        passwords: Sequence[str] = (),
    ) -> tuple[Plan, Self]:
        """Plan a run into a claimed OUTPUT, and say what there is to do.

        Args:
            files: all files of INPUT.
            output: the claimed OUTPUT; nothing has asked its store yet in this process, which will fork.
            settings: what to read, and where.
            clock: of the run.
            events: told what there is to do.
            left_out: what of INPUT is no input.
            passwords: of PDFs.

        Raises:
            QuintetError: as `make_plan`, or OUTPUT cannot be read.
        """
        output.sync(forked=True)
        plan = make_plan(files, output, settings, passwords)
        tally = Tally(plan.inputs, plan.skipped_ok, plan.skipped_failed, plan.vanished, left_out.counts)
        _log.info("%d pages: %d to read, %d done earlier", tally.inputs, len(plan.todo), tally.skipped)
        events.start(tally, plan.model)
        with Ledger.open(output.ledger) as ledger:
            ledger.add_input(settings.input_place)
            ledger.note("started_at", clock.started_at.isoformat(timespec="milliseconds"))
        return plan, cls(output, settings, tally, clock, plan.page_ids)

    def close(self, cancellation: Cancellation, model: str | None, exports: ExportTally | None = None) -> Report:
        """Check the account, write it down and return it.

        Args:
            cancellation: knows why the run ended early, if it did.
            model: fingerprint of what read the pages.
            exports: what was made of them meanwhile, if anything was asked for.
        """
        exit_code, reason = self._verdict(cancellation.cause, exports)
        made = exports.document() if exports else None
        report = Report(self.tally, self.clock, self.clock.seconds, model, self.settings, exit_code, reason, made)
        with Ledger.open(self.output.ledger) as ledger:
            failed = [_failure_line(row) for row in ledger.rows("failed") if row.page_id in self.page_ids]
        self.output.write_account(report.to_json(), b"".join(failed))
        return report

    def _verdict(self, cause: BaseException | None, exports: ExportTally | None) -> tuple[ExitCode, str]:
        tally = self.tally
        if isinstance(cause, QuintetError):
            return cause.exit_code, str(cause)
        if cause is not None:
            return ExitCode.UNEXPECTED, f"{type(cause).__name__}: {cause}"
        if tally.left:
            return ExitCode.UNEXPECTED, f"the account does not add up: {tally.left} of {tally.inputs} pages have no end"
        if tally.failed or tally.skipped_failed:
            return ExitCode.SOME_FAILED, f"{tally.failed + tally.skipped_failed} pages failed, listed in failed.jsonl"
        if exports and not exports.complete:
            return ExitCode.EXPORTS_MISSING, "every page was read, but not every export made: see above"
        return ExitCode.OK, ""


def _failure_line(row: Row) -> bytes:
    line = {name: getattr(row, name) for name in ("page_id", "code", "message", "tries", "request_id")}
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
