"""The table on stdout and the JSON beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.bench.figures import RowFigures, fastest, ratio

_HEAD = ("row", "what", "pages/s", "from-to", "x (a)", "word F1", "server MB", "client MB", "notes")
_RIGHT = frozenset(_HEAD[2:8])


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
    """The ratios that issue 3 asks for, each with its goal."""
    return "\n".join(f"{name:<28} {_number(value, 3)}  (goal: {goal})" for name, value, goal in goals(rows))


def goals(rows: Sequence[RowFigures]) -> list[tuple[str, float | None, str]]:
    """Name, figure and goal of what the issue holds the service against."""
    served, chain, seed = fastest(rows, "d"), fastest(rows, "c"), find(rows, "a")
    f1 = None
    if served and seed and served.word_f1 is not None and seed.word_f1 is not None:
        f1 = served.word_f1 - seed.word_f1
    return [
        ("(d, best) / (a)", ratio(served, seed), ">= 2.5"),
        ("(d, best) / (b)", ratio(served, find(rows, "b")), ">= 1.5"),
        ("(d, best) / (c, best)", ratio(served, chain), ">= 0.9"),
        ("(d, best) / (e)", ratio(served, find(rows, "e")), "how far the floor is"),
        ("word F1 of (d, best) - (a)", f1, ">= -0.005"),
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
