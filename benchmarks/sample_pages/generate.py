"""Draw a folder of pages and their truth: `python -m benchmarks.sample_pages OUTPUT --pages 48 --seed 7`."""

import argparse
import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.sample_pages.degrade import damage_image, damage_quad, encode_image
from benchmarks.sample_pages.documents import DEFAULT_KINDS, DOCUMENTS
from benchmarks.sample_pages.plan import plan_pages
from benchmarks.sample_pages.records import PagePlan, PageTruth, Quad

TRUTH_FILE = "truth.json"
# Starting a process costs as much as drawing this many pages.
_PAGES_WORTH_A_WORKER = 24


def draw_page(plan: PagePlan) -> tuple[bytes, PageTruth]:
    """Draw one page: the encoded file and its truth, both functions of the plan alone.

    Raises:
        FileNotFoundError: if a font's package is not installed.
    """
    sheet = DOCUMENTS[plan.kind](random.Random(f"content/{plan.seed}/{plan.index}"), plan.brief)
    width_px, height_px = sheet.image.size
    noise = np.random.default_rng([plan.seed, plan.index])
    image = damage_image(sheet.image, plan.damage, sheet.paper, noise)

    def damaged(quad: Quad) -> Quad:
        return damage_quad(quad, plan.damage, width_px, height_px)

    lines = tuple(line.moved(damaged) for line in sheet.lines)
    truth = PageTruth(plan.file, plan.kind, image.width, image.height, plan.damage.turn_deg, lines)
    return encode_image(image, plan.damage.jpeg_quality), truth


def write_page(plan: PagePlan, folder: Path) -> PageTruth:
    """Draw one page into `folder`."""
    body, truth = draw_page(plan)
    (folder / plan.file).write_bytes(body)
    return truth


def write_pages(plans: Sequence[PagePlan], folder: Path, workers: int) -> list[PageTruth]:
    """Draw pages into `folder` and then their truth; pages that an earlier truth there names are removed first.

    Raises:
        FileNotFoundError: if a font's package is not installed.
        OSError: if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_earlier_pages(folder)
    truths = list(_map_pages(plans, folder, workers))
    entries = {truth.file: truth.as_json() for truth in truths}
    # Last, so that a folder with a truth is a complete one.
    (folder / TRUTH_FILE).write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return truths


def _map_pages(plans: Sequence[PagePlan], folder: Path, workers: int) -> Iterator[PageTruth]:
    """Draw pages here or in processes; the order of the results is the plans' order."""
    if workers <= 1:
        yield from (write_page(plan, folder) for plan in plans)
        return
    # Spawned, not forked: the caller may have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(partial(write_page, folder=folder), plans, chunksize=8)


def _remove_earlier_pages(folder: Path) -> None:
    """Remove what an earlier run left, and nothing else."""
    truth = folder / TRUTH_FILE
    if truth.is_file():
        for name in json.loads(truth.read_text(encoding="utf-8")):
            (folder / Path(name).name).unlink(missing_ok=True)
        truth.unlink()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sample_pages", description=__doc__)
    parser.add_argument("output", type=Path, help="folder for the pages and truth.json")
    parser.add_argument("--pages", type=int, default=48, help="how many pages (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same bytes (default: %(default)s)")
    parser.add_argument("--dense", action="store_true", help="about 170 words a page instead of about 85")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is A4 at 150 dpi, 2 at 300 (default: %(default)s)")
    parser.add_argument(
        "--kinds", nargs="+", choices=DOCUMENTS, default=DEFAULT_KINDS, help="`note` is 480x360 (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, help="processes (default: one a core for large sets)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parse(arguments)
    plans = plan_pages(options.pages, options.seed, options.kinds, dense=options.dense, scale=options.scale)
    workers = options.workers or max(1, min(os.cpu_count() or 1, options.pages // _PAGES_WORTH_A_WORKER))
    started = time.perf_counter()
    truths = write_pages(plans, options.output, workers)
    seconds = time.perf_counter() - started
    words = sum(len(line.text.split()) for truth in truths for line in truth.lines)
    sys.stderr.write(
        f"{len(truths)} pages, {words / len(truths):.0f} words a page, in {options.output} "
        f"({len(truths) / seconds:.1f} pages/s with {workers} process(es))\n"
    )
    return 0
