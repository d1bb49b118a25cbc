"""The soak: `python -m benchmarks.soak --minutes 20`.

One bulk client reads the same generated pages again and again through one service: small ones, and among them scans of
up to 35 megapixels, pages of many sizes and documents; or items of a folder through any other chain. Memory of server
and client must be flat: the trend over all samples after the warm-up, drawn out over that time, below 5 % of the level.
No page may be lost, and each round must read what the first has read.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from PIL import Image
from quintet.operations import service as torchserve
from quintet.operations.names import DEFAULT_CHAIN

from benchmarks.bench.machine import describe_machine, headline
from benchmarks.bench.memory import tree_bytes
from benchmarks.bench.page_sets import draw_pages, items_of, repeat_pages
from benchmarks.bench.report import align
from benchmarks.bench.rows import Unavailable
from benchmarks.bench.serving import start_service
from benchmarks.soak_client import Round

ROOT = Path(__file__).resolve().parent.parent
FLAT_WITHIN = 0.05
# Shares of the whole time: what is left out at the beginning, and how many rows the table has.
WARM_UP_SHARE = 0.25
WINDOWS = 20
DRAWN = 48
SAMPLE_EVERY_S = 1.0


@dataclass(frozen=True)
class Sample:
    """Resident memory at one moment, in bytes.

    Attributes:
        at_s: since the client began.
        front: of the server's front end.
        workers: of its workers.
        client: of the client and its loaders.
    """

    at_s: float
    front: int
    workers: int
    client: int

    @property
    def server(self) -> int:
        """Front end and workers."""
        return self.front + self.workers


@dataclass(frozen=True)
class Trend:
    """How one memory went after the warm-up.

    Attributes:
        level_bytes: the median.
        growth: rise of the fitted line over that time, as a share of the level.
    """

    whose: str
    level_bytes: float
    growth: float

    @property
    def is_flat(self) -> bool:
        """Whether it stays within what the project promises; less memory is no fault."""
        return self.growth < FLAT_WITHIN


@dataclass(frozen=True)
class Soak:
    """All that was seen."""

    rounds: list[Round]
    samples: list[Sample]

    @property
    def lost(self) -> int:
        """Pages without an end or without their answer."""
        return sum(one.lost for one in self.rounds)

    @property
    def is_same(self) -> bool:
        """Whether all rounds have read the same."""
        return len({one.digest for one in self.rounds}) == 1

    def trends(self) -> list[Trend]:
        """Server and client after the warm-up."""
        begin = WARM_UP_SHARE * self.samples[-1].at_s
        late = [sample for sample in self.samples if sample.at_s >= begin]
        return [trend(whose, [(sample.at_s, getattr(sample, whose)) for sample in late]) for whose in _WHOSE]


_WHOSE = ("server", "client")


def trend(whose: str, points: Sequence[tuple[float, float]]) -> Trend:
    """The trend of memory (bytes) over time (seconds), by least squares.

    The client's memory falls between two rounds, when it has no loaders, so that single samples say nothing.
    """
    level = statistics.median(size for _, size in points)
    if len(points) < 2:
        return Trend(whose, level, 0.0)
    slope = statistics.linear_regression([at_s for at_s, _ in points], [size for _, size in points]).slope
    return Trend(whose, level, slope * (points[-1][0] - points[0][0]) / level)


def soak(service: torchserve.Service, pages: Path, folder: Path, minutes: float, options: Sequence[str]) -> Soak:
    """Let one client read until the time is over, sampling memory.

    Raises:
        RuntimeError: the client failed, with its last words.
    """
    where = ("--server", service.inference_url, "--token-file", str(service.token_file), "--model", service.models[0])
    command = [sys.executable, "-m", "benchmarks.soak_client", str(minutes * 60), str(pages), str(folder / "out")]
    log, told = folder / "client.log", folder / "rounds.jsonl"
    samples = []
    with log.open("wb") as words, told.open("wb") as rounds:
        client = subprocess.Popen([*command, *where, *options], stdout=rounds, stderr=words, env=_environment())  # noqa: S603 - our own words
        begin = time.monotonic()
        while client.poll() is None:
            samples.append(_sample(time.monotonic() - begin, service, client.pid))
            time.sleep(SAMPLE_EVERY_S)
    if client.returncode:
        raise RuntimeError(f"the client ended with {client.returncode}: {log.read_text(errors='replace')[-1000:]}")
    return Soak([Round(**json.loads(line)) for line in told.read_text().splitlines()], samples)


def describe(seen: Soak) -> str:
    """The soak as a table: memory as the median of each window, pages as they were at its end."""
    lines: list[tuple[str, ...]] = [("minutes", "pages", "failed", "lost", "front MB", "workers MB", "client MB")]
    last_s = seen.samples[-1].at_s
    for window in range(WINDOWS):
        begin_s, end_s = last_s * window / WINDOWS, last_s * (window + 1) / WINDOWS
        inside = [sample for sample in seen.samples if begin_s <= sample.at_s <= end_s]
        if inside:
            lines.append(_cells(end_s, [one for one in seen.rounds if one.at_s <= end_s], inside))
    return align(lines, frozenset(lines[0]))


def _cells(end_s: float, rounds: Sequence[Round], samples: Sequence[Sample]) -> tuple[str, ...]:
    counts = (sum(one.ok for one in rounds), sum(one.failed for one in rounds), sum(one.lost for one in rounds))
    sizes = (
        statistics.median(getattr(sample, whose) for sample in samples) for whose in ("front", "workers", "client")
    )
    return (f"{end_s / 60:.1f}", *map(str, counts), *(f"{size / 1e6:.0f}" for size in sizes))


def _sample(at_s: float, service: torchserve.Service, client: int) -> Sample:
    try:
        front_end = service.front_end()
        workers = sum(tree_bytes(child.pid) for child in front_end.children())
    except (psutil.NoSuchProcess, LookupError):
        workers = 0
    return Sample(at_s, max(tree_bytes(service.pid) - workers, 0), workers, tree_bytes(client))


def _environment() -> dict[str, str]:
    """Ours, with our own paths first, and no token or server of somebody else."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("QUINTET_")}
    return {**own, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _pages(count: int, folder: Path, items: Path | None) -> Path:
    """Items, or small pages, large ones and documents; and one that is no page: a failure is part of every round."""
    some = items_of(items) if items else draw_pages(min(DRAWN, count), folder / "drawn", "--kinds", "note")
    pages = repeat_pages(some, count, folder / "pages").folder
    if items is None:
        with Image.open(some.pages[0]) as page:
            _write_large_pages(page.convert("RGB"), pages)
    (pages / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    return pages


def _write_large_pages(page: Image.Image, folder: Path) -> None:
    """One page as what real folders hold besides: A4 scanned at 600 and 300 dpi, other sizes, a TIFF, a PDF."""
    a4 = page.resize((2480, 3508))
    a4.save(folder / "300-dpi.jpg", progressive=True)
    a4.resize((4960, 7016)).convert("L").save(folder / "600-dpi.png", compress_level=1)
    a4.convert("RGBA").save(folder / "transparent.png", compress_level=1)
    for width_px in (300, 700, 1100, 1900, 3300):
        page.resize((width_px, 2000)).save(folder / f"{width_px}-wide.png")
    for name in ("fax.tif", "document.pdf"):
        a4.convert("1").save(folder / name, save_all=True, append_images=[a4.convert("L").rotate(90, expand=True)])


def _document(machine: dict[str, Any], minutes: float, seen: Soak) -> dict[str, Any]:
    return {
        "schema": "quintet.soak/1",
        "machine": machine,
        "minutes": minutes,
        "lost": seen.lost,
        "same_text": seen.is_same,
        "trends": [{**asdict(one), "is_flat": one.is_flat} for one in seen.trends()],
        "rounds": [asdict(one) for one in seen.rounds],
        "samples": [asdict(sample) for sample in seen.samples],
    }


def _parse(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, epilog="Other options go to `quintet read`."
    )
    add = parser.add_argument
    add("--minutes", type=float, default=20.0, help="how long (default: 20; a day: 1440)")
    add("--pages", type=int, default=240, help="pages of a round (default: 240)")
    add("--chain", default=DEFAULT_CHAIN, help="what is served (default: %(default)s)")
    add("--items", type=Path, metavar="FOLDER", help="what it reads (default: generated pages)")
    add("--output", type=Path, default=ROOT / "build" / "soak", help="(default: %(default)s)")
    return parser.parse_known_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if memory grew or a page was lost, 2 if the service cannot run here."""
    options, for_client = _parse(arguments)
    machine = describe_machine()
    sys.stdout.write(f"{headline(machine)}\n")
    pages = _pages(options.pages, options.output, options.items)
    try:
        service = start_service(options.output / "serve", chain=options.chain)
    except Unavailable as error:
        sys.stdout.write(f"{error}\n")
        return 2
    try:
        seen = soak(service, pages, options.output, options.minutes, for_client)
    finally:
        torchserve.stop(service)
    report = options.output / "report.json"
    report.write_text(json.dumps(_document(machine, options.minutes, seen), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"\n{describe(seen)}\n\n{_verdict(seen)}JSON: {report}\n")
    return 0 if not seen.lost and seen.is_same and all(one.is_flat for one in seen.trends()) else 1


def _verdict(seen: Soak) -> str:
    """What it comes to, in words."""
    answers = "the same text in all" if seen.is_same else "NOT THE SAME TEXT IN ALL"
    lines = [f"{len(seen.rounds)} rounds, {sum(one.inputs for one in seen.rounds)} pages, lost {seen.lost}, {answers}"]
    for one in seen.trends():
        said = "flat" if one.is_flat else "NOT FLAT"
        lines.append(f"{one.whose} memory {one.level_bytes / 1e6:.0f} MB, {one.growth:+.1%}: {said} (allowed: 5 %)")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
