"""A run in figures: what the overview and the report both say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quintet_client.input.addresses import Address
from quintet_client.viewer.data.run import Run
from quintet_client.viewer.data.speed import PAUSE, Sitting, moment, sittings_of

_STAGES = {"load": "waiting for files", "request": "request and answer", "write": "writing answers"}


@dataclass(frozen=True, slots=True)
class Amount:
    """One row of a bar chart."""

    label: str
    value: float  # the bar's length
    note: str  # behind the bar
    part: float = 0.0  # of the value, drawn darker
    kind: str = ""  # or "bad"


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a run; those of report.json are empty while the first run goes on."""

    name: str  # of the OUTPUT folder
    counts: Mapping[str, int]  # pages that are ok, failed and left
    codes: tuple[tuple[str, int], ...]  # failures by code, the most frequent first
    sittings: tuple[Sitting, ...]  # the earliest first
    stages: tuple[Amount, ...]  # seconds, p50 and p95
    models: tuple[Amount, ...]  # seconds of the service's own stages, all pages together
    facts: tuple[tuple[str, str], ...]  # names and values to read
    note: str  # what is to be done, if anything

    @property
    def pages(self) -> int:
        """All pages that the ledger knows."""
        return sum(self.counts.values())

    @property
    def equation(self) -> str:
        """How the pages add up, in one line."""
        left = f" + {self.counts['left']:,} to do" if self.counts["left"] else ""
        return f"{self.pages:,} pages = {self.counts['ok']:,} read + {self.counts['failed']:,} failed{left}"

    def code_amounts(self) -> list[Amount]:
        """Failures by code, to be drawn."""
        failed = self.counts["failed"] or 1
        return [Amount(code, count, f"{count:,} ({count / failed:.0%})", kind="bad") for code, count in self.codes]


def summarise(run: Run) -> Summary:
    """Gather the figures of a run."""
    report = run.report()
    counts = run.ledger.counts()
    ends = run.ledger.ends_by_second()
    began = moment(run.ledger.facts().get("started_at", "") or _text(report.get("started_at")))
    if began != moment(_text(report.get("started_at"))):
        report = {}  # of an earlier run
    sittings = sittings_of(ends, began, _ended(began, report, ends))
    return Summary(
        name=shown(run.place).rsplit("/", 1)[-1] or "/",
        counts=counts,
        codes=tuple(run.ledger.codes()),
        sittings=tuple(sittings),
        stages=tuple(_stages(report.get("stages"))),
        models=tuple(_models(report.get("stage_seconds"))),
        facts=tuple((name, value) for name, value in _facts(run, report, began) if value),
        note=_note(counts, report),
    )


def shown(path: Path | Address) -> str:
    """Write a path that may hold bytes that are no UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _ended(began: datetime | None, report: Mapping[str, Any], ends: Sequence[tuple[str, int, int]]) -> datetime | None:
    """When the last run ended: as it says itself, or now if it may be going on; None if it broke off."""
    if report or began is None:
        return moment(_text(report.get("finished_at")))
    now = datetime.now(UTC)
    latest = moment(ends[-1][0]) if ends else None
    return now if now - max(began, latest or began) < PAUSE else None


def _facts(run: Run, report: Mapping[str, Any], began: datetime | None) -> list[tuple[str, str]]:
    settings = report.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    chosen = ("servers", "model", "batch", "in_flight", "pack", "loaders", "writers")
    return [
        ("Model", run.ledger.facts().get("model", "")),
        ("Client", _text(report.get("version"))),
        ("Last run began", f"{began:%Y-%m-%d %H:%M:%S} UTC" if began else ""),
        ("Last run ended", _moment(report.get("finished_at"))),
        ("Input", ", ".join(map(shown, run.originals.inputs))),
        ("Output", shown(run.place)),
        ("Settings", ", ".join(f"{name} {_listed(settings[name])}" for name in chosen if name in settings)),
    ]


def _listed(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _stages(stages: object) -> list[Amount]:
    found = stages if isinstance(stages, dict) else {}
    amounts = []
    for name, label in _STAGES.items():
        match found.get(name):
            case {"count": count, "p50_s": int() | float() as p50, "p95_s": int() | float() as p95} if count:
                amounts.append(Amount(label, p95, f"p50 {_seconds(p50)}, p95 {_seconds(p95)}", part=p50))
    return amounts


def _models(stages: object) -> list[Amount]:
    found = stages if isinstance(stages, dict) else {}
    seconds = {name: took for name, took in found.items() if isinstance(took, int | float) and took > 0}
    whole = sum(seconds.values())
    return [
        Amount(name.replace("_", " "), took, f"{_seconds(took)} ({took / whole:.0%})") for name, took in seconds.items()
    ]


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def _note(counts: Mapping[str, int], report: Mapping[str, Any]) -> str:
    reason, vanished = _text(report.get("reason")), report.get("vanished")
    if counts["left"]:
        return (
            f"{counts['left']:,} pages have no end yet: a run is going on, or is to be started again. {reason}".strip()
        )
    if isinstance(vanished, int) and vanished > 0:
        return f"{vanished:,} pages are of files that are gone: `quintet read --prune` removes them."
    return "" if counts["failed"] else reason


def _moment(value: object) -> str:
    return _text(value).replace("T", " ")[:19].strip() + " UTC" if _text(value) else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
