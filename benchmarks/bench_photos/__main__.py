"""The chain and the script in turn, repeat by repeat, in one process; the table on stdout, JSON beside it."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quintet.photos.chain import PhotoChain
from quintet.photos.settings import PhotoSettings

from benchmarks.bench.machine import describe_machine, headline
from benchmarks.bench_photos.agreement import compare
from benchmarks.bench_photos.script import PhotoScript
from benchmarks.sample_photos import write_photos

ROOT = Path(__file__).resolve().parents[2]
BATCH = 64
Reader = Callable[[Sequence[Path]], list[dict[str, Any]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parse(arguments)
    machine = describe_machine()
    sys.stdout.write(f"{headline(machine)}\n")
    folder = options.output.parent / "photos"
    photos = [folder / name for name in write_photos(folder, options.photos, options.seed)]
    script = PhotoScript()
    readers: dict[str, Reader] = {
        "script": lambda some: [script(photo) for photo in some],
        "chain": _batched(PhotoChain(PhotoSettings(), options.model_store)),
    }
    rates: dict[str, list[float]] = {name: [] for name in readers}
    results = {name: read(photos) for name, read in readers.items()}  # the first time warms up
    for _ in range(options.repeats):
        for name, read in readers.items():
            begin = time.perf_counter()
            results[name] = read(photos)
            rates[name].append(len(photos) / (time.perf_counter() - begin))
    medians = {name: statistics.median(some) for name, some in rates.items()}
    agreement = compare(results["script"], results["chain"])
    titles = {"script": "one photo at a time, each model by its package", "chain": "the photo chain, in process"}
    sys.stdout.write(f"{len(photos)} photos, median of {options.repeats} repeats in turn, warm\n")
    for name, some in rates.items():
        sys.stdout.write(f"{titles[name]:<48} {medians[name]:6.2f} photos/s ({min(some):.2f}-{max(some):.2f})\n")
    ratio = medians["chain"] / medians["script"]
    sys.stdout.write(f"{'ratio':<48} {ratio:6.2f}\n{agreement.describe()}\nJSON: {options.output}\n")
    document = {"machine": machine, "photos_per_s": rates, "ratio": ratio, "agreement": asdict(agreement)}
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def _batched(chain: PhotoChain) -> Reader:
    """The chain as a worker runs it: batches of encoded photos."""

    def read(photos: Sequence[Path]) -> list[dict[str, Any]]:
        batches = (photos[begin : begin + BATCH] for begin in range(0, len(photos), BATCH))
        outcomes = [outcome for batch in batches for outcome in chain([photo.read_bytes() for photo in batch])]
        return [outcome for outcome in outcomes if isinstance(outcome, dict)]

    return read


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_photos", description=__doc__)
    add = parser.add_argument
    add("--photos", type=int, default=12, help="(default: %(default)s)")
    add("--repeats", type=int, default=3, help="runs of each (default: %(default)s)")
    add("--seed", type=int, default=7, help="of the photos (default: %(default)s)")
    add("--model-store", type=Path, default=ROOT / "model_store" / "photos", help="(default: %(default)s)")
    add("--output", type=Path, default=ROOT / "build" / "bench_photos" / "report.json", help="(default: %(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
