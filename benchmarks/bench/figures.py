"""What is measured of a row, and the figures that are made of it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Visit:
    """One timed run of one row over all pages.

    Attributes:
        pages: how many were read.
        seconds: from the first page's file to the last result in place, without the start of processes.
        server_peak_bytes: most resident memory of the server's processes; in process, of the only process there is.
        client_peak_bytes: likewise of the client's; None where there is no client.
        detail: whatever else the row knows of this run, JSON-ready.
    """

    pages: int
    seconds: float
    server_peak_bytes: int
    client_peak_bytes: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RowFigures:
    """One line of the table.

    Attributes:
        key: such as `c2`.
        title: what the row does.
        pages_per_s: of each repeat; empty where the row could not run.
        word_f1: None where the row reads nothing.
        server_peak_bytes: over all repeats; None where the row could not run.
        client_peak_bytes: likewise.
        notes: what a reader of the table must know.
        detail: of the repeat nearest to the median.
    """

    key: str
    title: str
    pages_per_s: tuple[float, ...] = ()
    word_f1: float | None = None
    server_peak_bytes: int | None = None
    client_peak_bytes: int | None = None
    notes: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float | None:
        """Pages a second: the median of the repeats."""
        return statistics.median(self.pages_per_s) if self.pages_per_s else None


def summarise(key: str, title: str, visits: Sequence[Visit], word_f1: float | None, notes: str) -> RowFigures:
    """A row's figures out of its visits; without any, the row says in its notes why it could not run."""
    if not visits:
        return RowFigures(key, title, notes=notes)
    rates = tuple(visit.pages / visit.seconds for visit in visits)
    middle = statistics.median(rates)
    nearest = min(zip(rates, visits, strict=True), key=lambda pair: abs(pair[0] - middle))[1]
    clients = [visit.client_peak_bytes for visit in visits if visit.client_peak_bytes is not None]
    return RowFigures(
        key,
        title,
        rates,
        word_f1,
        max(visit.server_peak_bytes for visit in visits),
        max(clients, default=None),
        notes,
        nearest.detail,
    )


def ratio(row: RowFigures | None, to: RowFigures | None) -> float | None:
    """How many times as fast one row is as another; None where one of them has no figure."""
    if row is None or to is None or row.median is None or not to.median:
        return None
    return row.median / to.median


def fastest(rows: Sequence[RowFigures], letter: str) -> RowFigures | None:
    """The fastest row of one letter, None where none ran."""
    ran = [row for row in rows if row.key.startswith(letter) and row.median is not None]
    return max(ran, key=lambda row: row.median or 0.0, default=None)
