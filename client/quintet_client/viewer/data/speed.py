"""The speed of a run over time, from the times at which its pages were finished."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

# A batch of slow pages takes minutes; after a longer silence the run had stopped, and was continued later.
_PAUSE_S = 600
_MOST_BINS = 80
_WIDTHS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Sitting:
    """A stretch of work without a long pause, or a part of one."""

    started_at: datetime
    seconds: float
    ok: int
    failed: int
    bins: tuple["Sitting", ...] = ()  # its time in equal parts, those without a page left out

    @property
    def pages_per_s(self) -> float:
        """Pages a second, read or failed."""
        return (self.ok + self.failed) / self.seconds


Ends = Sequence[tuple[datetime, int, int]]


def sittings_of(ends_by_second: Sequence[tuple[str, int, int]], started_at: str = "") -> list[Sitting]:
    """Cut the history of a ledger where nothing happened for long; the earliest sitting first.

    `ends_by_second` has seconds (ISO 8601, UTC, sorted), pages read in them and pages failed. `started_at` (ISO 8601)
    is when the last run began, if that is known: the first page takes some time.
    """
    ends = [(at, ok, failed) for second, ok, failed in ends_by_second if (at := _moment(second)) is not None]
    cuts = [i for i in range(1, len(ends)) if (ends[i][0] - ends[i - 1][0]).total_seconds() > _PAUSE_S]
    stretches = [ends[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(ends)], strict=True) if begin < end]
    known = _moment(started_at)
    return [_sitting(stretch, known) for stretch in stretches]


def _sitting(ends: Ends, known_start: datetime | None) -> Sitting:
    start, last = ends[0][0], ends[-1][0]
    if known_start is not None and timedelta() <= start - known_start <= timedelta(seconds=_PAUSE_S):
        start = known_start
    seconds = (last - start).total_seconds() + 1.0  # the last second counts as well
    width = next((width for width in _WIDTHS_S if seconds <= width * _MOST_BINS), _WIDTHS_S[-1])
    bins = []
    for number, within in groupby(ends, key=lambda end: (end[0] - start).total_seconds() // width):
        covered = min(width, max(1.0, seconds - number * width))  # the last one is seldom full
        bins.append(Sitting(start + timedelta(seconds=number * width), covered, *_pages(list(within))))
    return Sitting(start, seconds, *_pages(ends), tuple(bins))


def _pages(ends: Ends) -> tuple[int, int]:
    """How many were read, and how many failed."""
    return sum(end[1] for end in ends), sum(end[2] for end in ends)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
