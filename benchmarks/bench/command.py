"""The command: which pages, which rows, how often; table on stdout, JSON beside it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quintet.operations.front_end import KEEP_MEMORY

from benchmarks.bench.figures import RowFigures
from benchmarks.bench.machine import describe_machine, headline
from benchmarks.bench.page_sets import PageSet, copy_receipts, draw_pages
from benchmarks.bench.process_row import ProcessRow
from benchmarks.bench.report import describe_goals, describe_stages, describe_table, goals, rows_as_json
from benchmarks.bench.rows import Entry, Row, choose_rows
from benchmarks.bench.schedule import measure
from benchmarks.bench.service_row import ServiceRow

ROOT = Path(__file__).resolve().parents[2]
# Rows that not every machine can run: the peers of build/peers, and shared memory.
OPTIONAL = ("b2", "b3", "d3")
RECEIPTS = ROOT.parent / "shared" / "data" / "receipts"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if a row that should run did not."""
    options = _parse(arguments)
    entries = choose_rows([key for key in options.rows.split(",") if key])
    os.environ.update(KEEP_MEMORY)  # all rows keep their memory as the service's workers do
    machine = describe_machine()
    sys.stdout.write(f"{headline(machine)}\n")
    document: dict[str, Any] = {"schema": "quintet.bench/1", "machine": machine, "repeats": options.repeats, "sets": []}
    complete = True
    for pages in _page_sets(options):
        begin = time.monotonic()
        rows = _measure(entries, pages, options)
        text, entry = _describe(pages, rows, options.repeats, time.monotonic() - begin)
        sys.stdout.write(text)
        sys.stdout.flush()
        document["sets"].append(entry)
        _write_json(options.output, document)  # after each set: half a run is better than none
        complete &= all(row.pages_per_s for row in rows if row.key not in OPTIONAL)
    sys.stdout.write(f"\nJSON: {options.output}\n")
    return 0 if complete else 1


def _measure(entries: Sequence[Entry], pages: PageSet, options: argparse.Namespace) -> list[RowFigures]:
    work = options.output.parent / "work" / pages.name

    def make(entry: Entry) -> Row:
        named = dict(entry.options)
        if entry.kind == "process":
            return ProcessRow(named)
        return ServiceRow(str(named["mode"]), work / f"serve-{entry.key}")

    return measure(entries, make, pages, options.repeats, work)


def _page_sets(options: argparse.Namespace) -> list[PageSet]:
    """The real receipts where they are at hand, and generated pages."""
    folder = options.output.parent / "pages"
    sets = []
    if "receipts" in options.sets and (options.receipts / "truth.json").is_file():
        sets.append(copy_receipts(options.receipts, options.pages, folder / "receipts"))
    elif "receipts" in options.sets:
        sys.stdout.write(f"no receipts in {options.receipts}: generated pages only\n")
    if "generated" in options.sets or not sets:
        sets.append(draw_pages(options.pages, folder / "generated"))
    return sets


def _describe(pages: PageSet, rows: Sequence[RowFigures], repeats: int, seconds: float) -> tuple[str, dict[str, Any]]:
    """One set's table and its entry in the JSON."""
    head = (
        f"\n{pages.name}: {len(pages.pages)} pages, {pages.words_per_page():.0f} words a page, median of {repeats} "
        f"repeats in turn, warm, {seconds:.0f} s in all\n"
    )
    parts = [describe_table(rows), describe_stages(rows), describe_goals(rows)]
    entry = {
        "name": pages.name,
        "pages": len(pages.pages),
        "words_per_page": pages.words_per_page(),
        "seconds": seconds,
        "rows": rows_as_json(rows),
        "goals": [{**asdict(goal), "met": goal.met} for goal in goals(rows)],
    }
    return head + "\n\n".join(part for part in parts if part) + "\n", entry


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    add = parser.add_argument
    add("--pages", type=int, default=8, help="pages of each set (default: %(default)s)")
    add("--repeats", type=int, default=3, help="visits of each row (default: %(default)s)")
    add("--rows", default="", help="keys or letters, such as a,c,d1 (default: all)")
    add("--sets", nargs="+", choices=("receipts", "generated"), default=("receipts", "generated"))
    add("--receipts", type=Path, default=RECEIPTS, help="folder with truth.json (default: %(default)s)")
    add("--output", type=Path, default=ROOT / "build" / "bench" / "report.json", help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    if min(options.pages, options.repeats) < 1:
        parser.error("--pages and --repeats must be at least 1")
    try:
        choose_rows([key for key in options.rows.split(",") if key])
    except ValueError as error:
        parser.error(str(error))
    return options
