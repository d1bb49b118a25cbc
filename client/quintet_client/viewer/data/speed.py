"""The speed of a run over time, from the times at which its pages were finished."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

# A batch of slow pages takes minutes; after a longer silence the run had stopped, and was continued later.
PAUSE = timedelta(minutes=10)
WIDTHS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_MOST_BINS = 80
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Sitting:
    """A stretch of work without a long pause, the last run, or a part of one."""

    started_at: datetime
    seconds: float
    ok: int
    failed: int
    bins: tuple["Sitting", ...] = ()  # its time in equal parts, those without a page left out

    @property
    def pages_per_s(self) -> float:
        """Pages read a second, as in report.json: failures are no speed."""
        return self.ok / self.seconds


Ends = Sequence[tuple[datetime, int, int]]


def sittings_of(
    ends_by_second: Sequence[tuple[str, int, int]], began: datetime | None = None, ended: datetime | None = None
) -> list[Sitting]:
    """Cut the history of a ledger where nothing happened for long, and around the last run; the earliest first.

    Args:
        ends_by_second: seconds (ISO 8601, UTC, sorted), pages read in them and pages failed.
        began: when the last run began, if that is known.
        ended: when it ended, or now; unknown, it lasts until its last page.
    """
    ends = [(at, ok, failed) for second, ok, failed in ends_by_second if (at := moment(second)) is not None]
    begin = began.replace(microsecond=0) if began else datetime.max.replace(tzinfo=UTC)
    end = ended or datetime.max.replace(tzinfo=UTC)
    run = [it for it in ends if begin <= it[0] <= end]
    sittings = [*_stretches([it for it in ends if it[0] < begin]), *_stretches([it for it in ends if it[0] > end])]
    if began and (run or ended):
        sittings.append(_sitting(run, began, ended or run[-1][0] + _SECOND))
    return sorted(sittings, key=lambda sitting: sitting.started_at)


def _stretches(ends: Ends) -> list[Sitting]:
    cuts = [i for i in range(1, len(ends)) if ends[i][0] - ends[i - 1][0] > PAUSE]
    stretches = [ends[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(ends)], strict=True) if begin < end]
    return [_sitting(stretch, stretch[0][0], stretch[-1][0] + _SECOND) for stretch in stretches]


def _sitting(ends: Ends, start: datetime, end: datetime) -> Sitting:
    seconds = max(1e-3, (end - start).total_seconds())
    width = next((width for width in WIDTHS_S if seconds <= width * _MOST_BINS), WIDTHS_S[-1])
    bins = []
    for number, within in groupby(ends, key=lambda end: max(0.0, (end[0] - start).total_seconds()) // width):
        covered = min(width, max(min(1.0, seconds), seconds - number * width))  # the last one is seldom full
        bins.append(Sitting(start + timedelta(seconds=number * width), covered, *_pages(list(within))))
    return Sitting(start, seconds, *_pages(ends), tuple(bins))


def _pages(ends: Ends) -> tuple[int, int]:
    """How many were read, and how many failed."""
    return sum(end[1] for end in ends), sum(end[2] for end in ends)


def moment(text: str) -> datetime | None:
    """A time (ISO 8601; UTC if it does not say), or None if it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
