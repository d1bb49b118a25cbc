"""Visits rows in turn, repeat by repeat, and keeps as many of them warm as memory allows."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.bench.figures import RowFigures, Visit, summarise
from benchmarks.bench.page_sets import PageSet
from benchmarks.bench.process_row import ReaderError
from benchmarks.bench.rows import Entry, Row, Unavailable
from benchmarks.score import load_results, load_truth, score_run

# What a row may grow by (TurboOCR: 6.4 GiB). Below it, idle rows are ended and started again for their next visit.
RESERVE_BYTES = 7 << 30


@dataclass
class _State:
    """What is known of one row so far."""

    entry: Entry
    row: Row | None = None
    visits: list[Visit] = field(default_factory=list)
    word_f1: float | None = None
    notes: str = ""
    broken: bool = False


def measure(
    entries: Sequence[Entry], make: Callable[[Entry], Row], pages: PageSet, repeats: int, work: Path
) -> list[RowFigures]:
    """Visit each row `repeats` times, in turn.

    Args:
        entries: the rows.
        make: gives what can be visited.
        pages: what all of them read.
        repeats: visits of each.
        work: holds results, one folder a row.

    Returns:
        Figures in the order of the entries; a row that cannot run has none and says why.
    """
    states = [_State(entry) for entry in entries]
    try:
        for repeat in range(repeats):
            for state in states:
                _visit(state, states, make, pages, work / state.entry.key)
                _say(state, repeat)
    finally:
        for state in states:
            _close(state)
    return [summarise(s.entry.key, s.entry.title, s.visits, s.word_f1, s.notes) for s in states]


def _visit(state: _State, states: Sequence[_State], make: Callable[[Entry], Row], pages: PageSet, output: Path) -> None:
    """One visit; a row that fails once is left out from then on, and says so."""
    if state.broken:
        return
    try:
        if state.row is None:
            _make_room(state, states)
            state.row = make(state.entry)
            state.notes = state.row.open(pages.pages)
        state.visits.append(state.row.visit(pages.pages, output))
        state.word_f1 = _word_f1(pages, output)
    except (Unavailable, ReaderError, RuntimeError, OSError) as error:
        state.broken, state.notes = True, str(error).splitlines()[0] if str(error) else type(error).__name__
        _close(state)


def _make_room(state: _State, states: Sequence[_State]) -> None:
    """End idle rows, the next in turn last, until there is room for one more."""
    place = states.index(state)
    for idle in [*states[:place][::-1], *states[place + 1 :][::-1]]:
        if psutil.virtual_memory().available >= RESERVE_BYTES:
            return
        _close(idle)


def _word_f1(pages: PageSet, output: Path) -> float | None:
    """Word F1 of what the row wrote; None if it writes nothing."""
    truth = load_truth(pages.truth)
    return score_run(truth, load_results(output, truth)).f1 if (output / "pages").is_dir() else None


def _close(state: _State) -> None:
    if state.row is not None:
        row, state.row = state.row, None
        row.close()


def _say(state: _State, repeat: int) -> None:
    """One line of progress on stderr."""
    rate = f"{state.visits[-1].pages / state.visits[-1].seconds:.2f} pages/s" if not state.broken else state.notes
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} repeat {repeat + 1} row {state.entry.key}: {rate}\n")
