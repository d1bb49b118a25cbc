"""`python -m benchmarks.gpu_budget`: count, print, and write the JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_budget import report
from benchmarks.gpu_budget.count import count_batches, dense_pages
from benchmarks.gpu_budget.roofline import Gpu
from benchmarks.networks import MODEL_STORE, Settings

_JSON = Path(__file__).resolve().parents[2] / "build" / "gpu-budget.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parse(arguments)
    bodies = dense_pages(options.pages * options.batches)
    batches = [bodies[first : first + options.pages] for first in range(0, len(bodies), options.pages)]
    gpu = Gpu()
    settings = Settings(device="cuda", jpeg=options.jpeg, scripts=tuple(options.scripts))
    counted = count_batches(settings, options.models, batches)
    found = report.as_json(counted, options.pages, gpu)
    sys.stdout.write(f"{report.describe(found, gpu)}\n")
    if options.before is not None:
        before = json.loads(options.before.read_text("utf-8"))
        sys.stdout.write(f"\n{report.compare(before, found)}\n")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_budget", description=__doc__)
    add = parser.add_argument
    add("--pages", type=int, default=64, help="of a batch: dense generated pages (default: %(default)s)")
    add("--batches", type=int, default=2, help="of different pages, for the shapes (default: %(default)s)")
    add("--jpeg", choices=("host", "device"), default="host", help="where JPEGs are decoded (default: %(default)s)")
    add("--scripts", nargs="+", default=["all"], metavar="S", help="whose characters are read (default: all)")
    add("--models", type=Path, default=MODEL_STORE, help="model store (default: %(default)s)")
    add("--json", type=Path, default=_JSON, help="file for all figures, which bench-gpu reads (default: %(default)s)")
    add("--before", type=Path, help="such a file of an earlier run, to compare with")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
