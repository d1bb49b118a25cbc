"""The seed's "before" script on the same machine: RapidAI's five packages, one page at a time."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench.page_sets import PageSet
from benchmarks.bench.process_row import ProcessRow


def pages_per_s(pages: PageSet, count: int, output: Path) -> float:
    """How fast it reads the first `count` pages, in a process of its own, warm.

    Raises:
        Unavailable: its packages are not installed.
        ReaderError: it failed, with its own words.
    """
    row = ProcessRow({"reader": "seed_script"})
    try:
        row.open(pages.pages[:count])
        visit = row.visit(pages.pages[:count], output)
    finally:
        row.close()
    return visit.pages / visit.seconds
