"""The main path of `quintet batch`: sources → plan → passes on Ray → account."""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from quintet_client.cancellation import Cancellation
from quintet_client.cluster.job import JobDiedError, RayJob, temporary_folder
from quintet_client.cluster.messages import Facts, Setup, Trouble
from quintet_client.cluster.passes import Passes
from quintet_client.cluster.settings import BatchSettings
from quintet_client.errors import ModelMismatchError, UsageError
from quintet_client.input.addresses import Address
from quintet_client.input.documents.passwords import read_passwords
from quintet_client.input.source import Source
from quintet_client.output.ledger import Row
from quintet_client.output.parts.output import PartsOutput
from quintet_client.run.account import Account, inputs_of
from quintet_client.run.events import Events
from quintet_client.run.plan import Plan
from quintet_client.run.progress import Progress
from quintet_client.run.report import Clock, Report

_POLL_S = 0.5
# Ray ends the process that talks to it, without a word, when a daemon of its own is slow: on a machine that is busy.
_START_TRIES = 3
_log = logging.getLogger(__name__)


def batch_all(settings: BatchSettings, cancellation: Cancellation, events: Events) -> Report:
    """Read every item of INPUT that has no end yet, on Ray, and report.

    Args:
        settings: the run.
        cancellation: ends the run early; items without an end are left for the next run.
        events: told what happens, for other programs.

    Returns:
        The report, already written to OUTPUT. Faults during the run are in it, as exit code and reason.

    Raises:
        QuintetError: the run could not begin.
    """
    clock = Clock()
    digest = archive_digest(settings.archive)
    passwords = read_passwords(settings.password_file)
    output = _parts_of(settings.output_path)
    files, left_out = inputs_of(settings, output)
    with output.claim():
        plan, account = Account.open(files, output, settings, clock, events, left_out=left_out, passwords=passwords)
        run = output.begin(forked=True)

        def enter(rows: Sequence[Row]) -> None:
            account.tally.add(rows)
            events.failed(rows)
            for row in rows:
                if row.state == "failed":
                    _log.info("%s failed: %s: %s", row.page_id, row.code, row.message)

        starter = _Starter(settings, digest, output, plan, cancellation)
        passes = Passes(
            output, run, [_from_anywhere(source) for source in plan.todo], settings.stall_s, cancellation, enter
        )
        with Progress(account.tally, clock, events, passes):
            passes.read(settings.block, starter.start)
        return account.close(cancellation, starter.model)


class _Starter:
    """Starts the process that talks to Ray, and sees that its chain may add to OUTPUT."""

    def __init__(
        self, settings: BatchSettings, digest: str, output: PartsOutput, plan: Plan, cancellation: Cancellation
    ) -> None:
        self._settings = settings
        self._digest = digest
        self._output = output
        self._cancellation = cancellation
        self.model = plan.model

    def start(self) -> tuple[RayJob, Facts]:
        """Start it, and wait until it has asked about the chain; one that dies meanwhile is started again.

        Raises:
            QuintetError: it could not begin, or the run is ending.
        """
        log = self._output.work / "ray.log"
        _log.info("starting; what Ray says is in %s", log)
        for _ in range(_START_TRIES - 1):
            try:
                return self._try(log)
            except JobDiedError as error:
                _log.warning("%s while it started, and is started again", error)
        return self._try(log)

    def _try(self, log: Path) -> tuple[RayJob, Facts]:
        job = RayJob(self._setup(), log)
        try:
            facts = self._facts(job)
        except BaseException:
            job.close()
            raise
        share = facts.share
        each = f"{share.actors} actors of {share.cpus} cores and {share.gpus:g} GPUs"
        _log.info("%s on %s, %s", facts.schema, facts.device, each)
        self.model = facts.model
        return job, facts

    def _setup(self) -> Setup:
        settings = self._settings
        return Setup(
            archive=settings.archive,
            digest=self._digest,
            parts=self._output.place,
            leave_out=settings.leave_out,
            dpi=settings.dpi,
            password_file=settings.password_file.absolute() if settings.password_file else None,
            stall_s=settings.stall_s,
            address=settings.ray,
            actors=settings.actors,
            gpus_per_actor=settings.gpus_per_actor,
            folder=temporary_folder(),
        )

    def _facts(self, job: RayJob) -> Facts:
        while True:
            match job.receive(_POLL_S):
                case Facts() as facts:
                    break
                case Trouble() as trouble:
                    raise trouble.error()
            if self._cancellation.cancelled and self._cancellation.cause:
                raise self._cancellation.cause
        if self.model not in {None, facts.model}:
            raise ModelMismatchError(
                f"OUTPUT holds results of model {self.model}, the archive reads with {facts.model}; give another "
                "OUTPUT, or --overwrite to start anew"
            )
        return facts


def _from_anywhere(source: Source) -> Source:
    """The same source, found from another working folder."""
    # Path would fold "..", which may pass through a link.
    return source if source.is_at_address else source._replace(path=os.path.join(os.getcwd(), source.path))  # noqa: PTH109, PTH118


def archive_digest(archive: Path) -> str:
    """Return the SHA-256 of an archive, in hexadecimal; the one beside it, if there is one, must be the same.

    Raises:
        UsageError: there is no such file, or it is not what was packed.
    """
    try:
        with archive.open("rb") as packed:
            digest = hashlib.file_digest(packed, "sha256").hexdigest()
        beside = archive.with_name(f"{archive.name}.sha256")
        told = beside.read_text("utf-8").split()[:1] if beside.exists() else [digest]
    except OSError as error:
        raise UsageError(
            f"the archive {archive} cannot be read ({error.strerror}): make it with `quintet models`, or give --archive"
        ) from error
    if told != [digest]:
        raise UsageError(
            f"{archive} is not what was packed, by the hash beside it: make it again with `quintet models`"
        )
    return digest


def _parts_of(place: Path | Address) -> PartsOutput:
    """OUTPUT as parts.

    Raises:
        UsageError: it is a folder that holds a file a page.
    """
    if isinstance(place, Path):
        if (place / "pages").is_dir():
            raise UsageError(f"OUTPUT {place} holds pages/ of `quintet read`, not parts: give another OUTPUT")
        place = place.absolute()  # for processes elsewhere
    return PartsOutput(place)
