"""The cost curve: `python -m benchmarks.cost_curve --pages 100 1000 5000`.

Reads ever more small generated pages with `quintet read`, each count against a service of its own, and says pages/s
and peak memory of server and client. Flat means: memory at the largest count within 5 % of that at the one before.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quintet.operations import service as torchserve
from quintet.operations.names import DEFAULT_CHAIN

from benchmarks.bench.machine import describe_machine, headline
from benchmarks.bench.page_sets import PageSet, draw_pages, items_of, repeat_pages
from benchmarks.bench.report import align
from benchmarks.bench.rows import Unavailable
from benchmarks.bench.serving import ClientRun, read_pages, start_service

ROOT = Path(__file__).resolve().parent.parent
FLAT_WITHIN = 0.05
WARM_PAGES = 16
# More pages are these again, under other names: drawing 5,000 takes longer than it is worth.
DRAWN = 240


@dataclass(frozen=True)
class Point:
    """One count of the curve."""

    pages: int
    failed: int
    seconds: float
    pages_per_s: float
    server_peak_bytes: int
    client_peak_bytes: int


@dataclass(frozen=True)
class Flatness:
    """How much one memory grew between the last two counts, as a share of the smaller count's."""

    whose: str
    growth: float

    @property
    def is_flat(self) -> bool:
        """Whether it stays within what the project promises; less memory is no fault."""
        return self.growth <= FLAT_WITHIN


def measure(counts: Sequence[int], pages: PageSet, work: Path, options: Sequence[str], chain: str) -> list[Point]:
    """One point a count, each with a fresh service of the chain, so that no memory is inherited.

    Raises:
        Unavailable: the service cannot run here.
    """
    points = []
    for count in sorted(counts):
        points.append(_measure_one(count, pages, work / str(count), options, chain))
        sys.stderr.write(f"{describe([points[-1]])}\n")
    return points


def judge(points: Sequence[Point]) -> list[Flatness]:
    """Growth of server and client between the last two counts; none for a single count."""
    if len(points) < 2:
        return []
    before, last = points[-2:]
    return [
        Flatness("server", last.server_peak_bytes / before.server_peak_bytes - 1),
        Flatness("client", last.client_peak_bytes / before.client_peak_bytes - 1),
    ]


def describe(points: Sequence[Point]) -> str:
    """The curve as a table."""
    lines = [("pages", "failed", "seconds", "pages/s", "server MB", "client MB")]
    lines += [
        (
            str(point.pages),
            str(point.failed),
            f"{point.seconds:.1f}",
            f"{point.pages_per_s:.2f}",
            f"{point.server_peak_bytes / 1e6:.0f}",
            f"{point.client_peak_bytes / 1e6:.0f}",
        )
        for point in points
    ]
    return align(lines, frozenset(lines[0]))


def _measure_one(count: int, pages: PageSet, work: Path, options: Sequence[str], chain: str) -> Point:
    service = start_service(work / "serve", chain=chain)
    try:
        read_pages(service, pages.folder, work / "warm", ("--overwrite", "--limit", str(WARM_PAGES), *options))
        run = read_pages(service, pages.folder, work / "results", ("--overwrite", "--limit", str(count), *options))
    finally:
        torchserve.stop(service)
    return _point(run)


def _point(run: ClientRun) -> Point:
    return Point(
        run.pages,
        int(run.report["failed"]),
        run.seconds,
        run.pages / run.seconds,
        run.server_peak_bytes,
        run.client_peak_bytes,
    )


def _document(machine: dict[str, Any], points: Sequence[Point]) -> dict[str, Any]:
    verdicts = [{**asdict(verdict), "is_flat": verdict.is_flat} for verdict in judge(points)]
    return {
        "schema": "quintet.cost-curve/1",
        "machine": machine,
        "points": [asdict(p) for p in points],
        "flat": verdicts,
    }


def _parse(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cost_curve", description=__doc__, epilog="Other options go to `quintet read`."
    )
    add = parser.add_argument
    add("--pages", type=int, nargs="+", default=[100, 1000, 5000], help="counts (default: 100 1000 5000)")
    add("--kinds", nargs="+", default=["note"], help="of generated pages (default: note, 480 x 360)")
    add("--chain", default=DEFAULT_CHAIN, help="what is served (default: %(default)s)")
    add("--items", type=Path, metavar="FOLDER", help="what it reads instead, again and again")
    add("--output", type=Path, default=ROOT / "build" / "cost-curve" / "report.json", help="(default: %(default)s)")
    return parser.parse_known_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if memory is not flat, 2 if the service cannot run here."""
    options, for_client = _parse(arguments)
    machine = describe_machine()
    sys.stdout.write(f"{headline(machine)}\n")
    folder = options.output.parent
    drawn = min(DRAWN, max(options.pages)), folder / "drawn", "--kinds", *options.kinds
    pages = repeat_pages(
        items_of(options.items) if options.items else draw_pages(*drawn), max(options.pages), folder / "pages"
    )
    try:
        points = measure(options.pages, pages, folder / "work", for_client, options.chain)
    except Unavailable as error:
        sys.stdout.write(f"{error}\n")
        return 2
    options.output.write_text(json.dumps(_document(machine, points), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"\n{describe(points)}\n\n")
    for verdict in judge(points):
        said = "flat" if verdict.is_flat else "NOT FLAT"
        counts = f"from {points[-2].pages} to {points[-1].pages} pages"
        sys.stdout.write(f"{verdict.whose} memory {verdict.growth:+.1%} {counts}: {said} (allowed: 5 %)\n")
    sys.stdout.write(f"JSON: {options.output}\n")
    return 0 if all(verdict.is_flat for verdict in judge(points)) else 1


if __name__ == "__main__":
    sys.exit(main())
