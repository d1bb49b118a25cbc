"""The speed of a run over time, from the times at which its pages were finished."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# A batch of slow pages takes minutes; after a longer silence the run had stopped, and was continued later.
_PAUSE_S = 600
_MOST_BINS = 80
_WIDTHS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Bin:
    """Pages that were finished within some seconds of a sitting."""

    start_s: float  # after the sitting began
    width_s: float
    ok: int
    failed: int

    @property
    def pages_per_s(self) -> float:
        """Pages a second, read or failed."""
        return (self.ok + self.failed) / self.width_s


@dataclass(frozen=True, slots=True)
class Sitting:
    """A stretch of work without a long pause; `bins` are its time in equal parts."""

    started_at: datetime
    seconds: float
    ok: int
    failed: int
    bins: tuple[Bin, ...]

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
    ok, failed = sum(end[1] for end in ends), sum(end[2] for end in ends)
    return Sitting(start, seconds, ok, failed, _bins(ends, start, seconds, float(width)))


def _bins(ends: Ends, start: datetime, seconds: float, width: float) -> tuple[Bin, ...]:
    counts = [[0, 0] for _ in range(max(1, math.ceil(seconds / width)))]
    for at, ok, failed in ends:
        count = counts[int((at - start).total_seconds() // width)]
        count[0] += ok
        count[1] += failed
    # The last one is seldom full.
    covered = [min(width, max(1.0, seconds - number * width)) for number in range(len(counts))]
    return tuple(Bin(number * width, covered[number], *count) for number, count in enumerate(counts))


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
