"""The table on stdout and the JSON beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.bench.figures import RowFigures, fastest, ratio

_HEAD = ("row", "what", "pages/s", "from-to", "x (a)", "word F1", "server MB", "client MB", "notes")
_RIGHT = frozenset(_HEAD[2:8])
# How much worse than the best row of a run the service may read.
F1_MARGIN = 0.002


@dataclass(frozen=True)
class Goal:
    """So many times as fast as another row, and no row reads better by more than a margin.

    Attributes:
        name: which rows.
        times: as fast as the other row; None where that has no figure.
        least: what is asked for.
        word_f1: of the service.
        best_f1: of the row that reads best.
    """

    name: str
    times: float | None
    least: float
    word_f1: float | None
    best_f1: float | None

    @property
    def met(self) -> bool | None:
        """Whether both hold; None where one was not measured."""
        if self.times is None or self.word_f1 is None or self.best_f1 is None:
            return None
        return self.times >= self.least and self.word_f1 >= self.best_f1 - F1_MARGIN


def describe_table(rows: Sequence[RowFigures]) -> str:
    """The rows as aligned text; an absent figure is a dash."""
    return align([_HEAD, *(_cells(row, find(rows, "a")) for row in rows)], _RIGHT)


def align(lines: Sequence[Sequence[str]], right: frozenset[str] | None = None) -> str:
    """Columns of equal width, the first line the head; columns named in `right` are set to the right."""
    head = lines[0]
    at_right = right if right is not None else frozenset(head[1:])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name in at_right else cell.ljust(width)
            for name, cell, width in zip(head, line, widths, strict=True)
        ).rstrip()
        for line in (head, rule, *lines[1:])
    )


def describe_stages(rows: Sequence[RowFigures]) -> str:
    """Milliseconds a page of each network, from the floor's row; empty where that did not run."""
    floor = find(rows, "e")
    if floor is None or "stage_ms_per_page" not in floor.detail:
        return ""
    parts = [f"{stage} {ms:.1f}" for stage, ms in floor.detail["stage_ms_per_page"].items()]
    return f"networks alone, ms a page: {', '.join(parts)}"


def describe_goals(rows: Sequence[RowFigures]) -> str:
    """The goals as aligned text; empty where no service was measured."""
    head = (f"goal (word F1 within {F1_MARGIN} of the best)", "times", "at least", "word F1", "best F1", "met")
    lines = [
        (goal.name, _number(goal.times, 3), f"{goal.least}", _number(goal.word_f1, 4), _number(goal.best_f1, 4),
         {True: "yes", False: "no", None: "-"}[goal.met])
        for goal in goals(rows)
    ]  # fmt: skip
    return align([head, *lines]) if lines else ""


def goals(rows: Sequence[RowFigures]) -> list[Goal]:
    """How much faster the service is than the fastest peer, the seed's packages and the networks alone."""
    if (served := fastest(rows, "d")) is None:
        return []
    best_f1 = max((row.word_f1 for row in rows if row.word_f1 is not None), default=None)
    others = [
        ("the fastest peer", fastest(rows, "b"), 2.0),
        ("the seed's packages", find(rows, "a"), 3.5),
        ("the networks alone", find(rows, "e"), 0.9),
    ]
    return [
        Goal(f"{served.key} / {row.key if row else '-'}, {name}", ratio(served, row), least, served.word_f1, best_f1)
        for name, row, least in others
    ]


def rows_as_json(rows: Sequence[RowFigures]) -> list[dict[str, Any]]:
    """The rows with their medians and ratios."""
    seed = find(rows, "a")
    return [
        {**asdict(row), "pages_per_s_median": row.median, "ratio_to_a": ratio(row, seed), "detail": dict(row.detail)}
        for row in rows
    ]


def find(rows: Sequence[RowFigures], key: str) -> RowFigures | None:
    """The row of a key."""
    return next((row for row in rows if row.key == key), None)


def _cells(row: RowFigures, seed: RowFigures | None) -> tuple[str, ...]:
    spread = f"{min(row.pages_per_s):.2f}-{max(row.pages_per_s):.2f}" if row.pages_per_s else "-"
    return (
        row.key,
        row.title,
        _number(row.median, 3),
        spread,
        _number(ratio(row, seed), 2),
        _number(row.word_f1, 4),
        _megabytes(row.server_peak_bytes),
        _megabytes(row.client_peak_bytes),
        row.notes,
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.0f}"
