"""The command's arguments; imports nothing that may have to be installed first."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Options:
    """What to measure, and with what.

    Attributes:
        models: a store that `make models` made, or a folder with the models' three wheels.
        wheels: packages that this machine lacks; None for none.
        samples: pages with truth.json; None draws dense ones.
        device: `cuda` or `cpu`.
        pages: how many.
        batches: sizes of a batch to try.
        repeats: passes over the pages; the median counts.
        latency_requests: single pages that are timed one after the other.
        budget_s: no measurement is begun later than this.
        served_pages: how many the bulk client sends through TorchServe; 0 leaves TorchServe out.
        output: where the JSON goes.
    """

    models: Path
    wheels: Path | None
    samples: Path | None
    device: str
    pages: int
    batches: tuple[int, ...]
    repeats: int
    latency_requests: int
    budget_s: float
    served_pages: int
    output: Path


def parse(arguments: Sequence[str] | None = None) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_gpu", description=__doc__)
    add = parser.add_argument
    add("--models", type=Path, default=ROOT / "model_store", help="model store, or folder of the models' wheels")
    add("--wheels", type=Path, help="folder of wheels to install beside this machine's packages, without a network")
    add("--samples", type=Path, help="folder of pages with truth.json (default: dense generated pages)")
    add("--device", choices=("cuda", "cpu"), default="cuda", help="cpu runs the same code where there is no GPU")
    add("--pages", type=int, default=256, help="(default: %(default)s)")
    add("--batches", type=int, nargs="+", default=[1, 8, 16, 32, 64], help="(default: 1 8 16 32 64)")
    add("--repeats", type=int, default=3, help="(default: %(default)s)")
    add("--latency-requests", type=int, default=60, help="(default: %(default)s)")
    add("--budget-s", type=float, default=420.0, help="begin nothing later than this (default: %(default)s)")
    add("--served-pages", type=int, help="through TorchServe; 0: none (default: 2048, on the CPU those of --pages)")
    add("--output", type=Path, default=ROOT / "build" / "bench-gpu" / "report.json", help="(default: %(default)s)")
    values = vars(parser.parse_args(arguments))
    if values["served_pages"] is None:  # at 500 pages/s fewer would be over before the GPU's load can be sampled
        values["served_pages"] = 2048 if values["device"] == "cuda" else values["pages"]
    return Options(**{**values, "batches": tuple(values["batches"])})
