"""The account of one run: measured while it goes, checked at the end, written as report.json and as a summary."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from quintet_client import __version__
from quintet_client.errors import ExitCode
from quintet_client.input.addresses import Address
from quintet_client.output.ledger import Row
from quintet_client.run.settings import RunSettings

# Enough for a p95 to one part in a hundred; a run of a billion pages keeps no more.
_SAMPLES = 10_000


class Stopwatch:
    """Durations of one stage: count, sum and a uniform sample of bounded size. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._total_s = 0.0
        self._sample_s: list[float] = []

    def add(self, seconds: float) -> None:
        """Count one duration (reservoir sampling, Vitter's algorithm R)."""
        with self._lock:
            self._count += 1
            self._total_s += seconds
            if len(self._sample_s) < _SAMPLES:
                self._sample_s.append(seconds)
            elif (slot := random.randrange(self._count)) < _SAMPLES:
                self._sample_s[slot] = seconds

    def summary(self) -> dict[str, float]:
        """Return count, total and percentiles in seconds; zeros when nothing was timed."""
        with self._lock:
            ordered = sorted(self._sample_s) or [0.0]
            p50, p95 = (round(ordered[int(share * (len(ordered) - 1))], 4) for share in (0.5, 0.95))
            return {"count": self._count, "total_s": round(self._total_s, 4), "p50_s": p50, "p95_s": p95}


class Tally:
    """What the ledger holds safely of this run so far. Safe to share between threads."""

    def __init__(
        self,
        inputs: int,
        skipped_ok: int,
        skipped_failed: int,
        vanished: int = 0,
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        self.inputs = inputs
        self.skipped_ok = skipped_ok
        self.skipped_failed = skipped_failed
        self.sent_again = 0  # pages whose request was lost or broke
        self.vanished = vanished  # further pages in OUTPUT, of files that are gone
        self.left_out = left_out or {}  # files of INPUT that are no inputs, by reason
        self.read_at = 0.0  # when the latest page was read (monotonic seconds)
        self._lock = threading.Lock()
        self._states: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()

    def add(self, rows: Sequence[Row]) -> None:
        """Count committed rows; those of pages still under way do not count."""
        with self._lock:
            before = self.ok
            self._states.update(row.state for row in rows)
            if self.ok > before:
                self.read_at = time.monotonic()
            self._codes.update(row.code for row in rows if row.state == "failed")

    @property
    def ok(self) -> int:
        """Pages read in this run."""
        return self._states["ok"]

    @property
    def failed(self) -> int:
        """Pages that failed in this run."""
        return self._states["failed"]

    @property
    def codes(self) -> dict[str, int]:
        """Failures of this run by code, the most frequent first."""
        with self._lock:
            return dict(self._codes.most_common())

    @property
    def done(self) -> int:
        """Pages that came to their end in this run."""
        return self.ok + self.failed

    @property
    def skipped(self) -> int:
        """Pages that an earlier run had brought to their end."""
        return self.skipped_ok + self.skipped_failed

    @property
    def left(self) -> int:
        """Pages that have no end yet; below zero would be a page counted twice."""
        return self.inputs - self.done - self.skipped


class Clock:
    """When the run began, and how long its stages took."""

    def __init__(self) -> None:
        self.started_at = datetime.now(UTC)
        self._begin = time.monotonic()
        self.load = Stopwatch()
        self.request = Stopwatch()
        self.write = Stopwatch()
        self.service: Counter[str] = Counter()  # seconds of the service's own stages, for all pages together

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begin


@dataclass(frozen=True, slots=True)
class State:
    """How far a run is.

    Attributes:
        seconds: since it began.
        ok: pages read, as in `Tally`, like the next.
        failed: pages that failed.
        left: pages without an end.
        eta_s: until all have an end, at the pace at which pages ended so far, read or failed; None if that is unknown:
            before the first one is read, and when the next one is later than at that pace.
    """

    seconds: float
    ok: int
    failed: int
    left: int
    eta_s: float | None

    @classmethod
    def of(cls, tally: Tally, clock: Clock, reading_since: float) -> Self:
        """The state now of a run that began to read at a time (monotonic seconds)."""
        ok, left, read_at = tally.ok, tally.left, tally.read_at
        # Between two answers nothing is learnt about the pace; a mean up to now would fall until the next one.
        to_go_s = left * (read_at - reading_since) / (ok + tally.failed) - (time.monotonic() - read_at) if ok else 0.0
        eta_s = 0.0 if left == 0 else to_go_s if to_go_s > 0 else None
        return cls(clock.seconds, ok, tally.failed, left, eta_s)

    @property
    def pages_per_s(self) -> float:
        """Pages read since the run began, a second."""
        return self.ok / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """The end of a run."""

    tally: Tally
    clock: Clock
    seconds: float
    model: str | None
    settings: RunSettings
    exit_code: ExitCode
    reason: str
    exports: dict[str, Any] | None = None  # None: no formats were asked for

    @property
    def pages_per_s(self) -> float:
        """Pages read in this run, a second; those that failed do not count."""
        return self.tally.ok / self.seconds if self.seconds > 0 else 0.0

    def document(self) -> dict[str, Any]:
        """Return what report.json holds."""
        tally, settings = self.tally, asdict(self.settings)
        return {
            "schema": "quintet.report/1",
            "version": __version__,
            "started_at": self.clock.started_at.isoformat(timespec="milliseconds"),
            "finished_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "seconds": round(self.seconds, 3),
            **{name: getattr(tally, name) for name in ("inputs", "ok", "failed", "skipped", "skipped_ok")},
            **{name: getattr(tally, name) for name in ("skipped_failed", "left", "vanished", "sent_again")},
            "left_out": tally.left_out,
            "errors": tally.codes,
            "pages_per_s": round(self.pages_per_s, 3),
            "stages": {name: getattr(self.clock, name).summary() for name in ("load", "request", "write")},
            "stage_seconds": {stage: round(seconds, 3) for stage, seconds in self.clock.service.items()},
            "exports": self.exports,
            "model": self.model,
            "exit_code": int(self.exit_code),
            "reason": self.reason,
            "settings": {name: _plain(value) for name, value in settings.items()},
        }

    def to_json(self) -> bytes:
        """Return report.json."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False).encode() + b"\n"

    def summary(self) -> str:
        """Return the last words of the run, for standard output."""
        tally = self.tally
        left = f" + left {tally.left}" if tally.left else ""
        lines = [
            f"inputs {tally.inputs} = ok {tally.ok} + failed {tally.failed} + skipped {tally.skipped}{left}",
            f"{tally.ok} pages read in {self.seconds:.1f} s: {self.pages_per_s:.2f} pages/s",
        ]
        if tally.sent_again:
            lines.append(f"{tally.sent_again} pages were sent again: their request was lost or broke, see the log")
        if tally.skipped_failed:
            lines.append(f"{tally.skipped_failed} of the skipped failed earlier; --retry-failed reads them again")
        if tally.vanished:
            lines.append(f"{tally.vanished} more pages in OUTPUT are of files that are gone; --prune removes them")
        lines += [f"  {count} x {code}" for code, count in tally.codes.items()]
        if self.exports is not None:
            lines.append(f"exports: {self.exports['exported']} made, {self.exports['failed_outputs']} outputs failed")
        if tally.left:
            lines.append("run the same command again to go on")
        return "\n".join([*lines, f"results in {_text_of(self.settings.output_path)}"]) + "\n"


def _plain(value: object) -> object:
    """A setting as JSON has it."""
    if isinstance(value, Path | Address):  # an address is a tuple too
        return _text_of(value)
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _text_of(path: Path | Address) -> str:
    # A path may hold bytes that are no UTF-8; standard output and JSON cannot.
    return str(path).encode("utf-8", "backslashreplace").decode()
