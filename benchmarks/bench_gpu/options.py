"""The command's arguments; imports nothing that may have to be installed first."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Options:
    """What to measure, and with what.

    Attributes:
        models: a store that `quintet models` made, or a folder with the models' three wheels.
        wheels: packages that this machine lacks; None for none.
        samples: pages with truth.json; None draws dense ones.
        device: `cuda` or `cpu`.
        pages: how many different ones.
        batches: sizes of a batch to try.
        timed_batches: how many of each are timed, each of other pages.
        judged_pages: how many are read for their words.
        repeats: passes over the calls of the networks alone; the best counts.
        peer_pages: how many the seed's script reads; 0 leaves it out.
        latency_requests: single pages that are timed one after the other.
        budget_s: no measurement is begun later than this.
        step_s: one that takes longer is ended.
        budget: what `make gpu-budget` has written, to be set beside; it need not be there.
        served_pages: how many the bulk client sends through TorchServe; 0 leaves TorchServe out.
        output: where the JSON goes.
    """

    models: Path
    wheels: Path | None
    samples: Path | None
    device: str
    pages: int
    batches: tuple[int, ...]
    timed_batches: int
    judged_pages: int
    repeats: int
    peer_pages: int
    latency_requests: int
    budget_s: float
    step_s: float
    served_pages: int
    budget: Path
    output: Path

    def as_json(self) -> str:
        """All of them, for another process."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Options:
        """What `as_json` has written."""
        values = json.loads(text)
        paths = {name: Path(values[name]) for name in _PATHS if values[name] is not None}
        return cls(**{**values, **paths, "batches": tuple(values["batches"])})


_PATHS = ("models", "wheels", "samples", "budget", "output")


def parse(arguments: Sequence[str] | None = None) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_gpu", description=__doc__)
    add = parser.add_argument
    add("--models", type=Path, default=ROOT / "model_store", help="model store, or folder of the models' wheels")
    add("--wheels", type=Path, help="folder of wheels to install beside this machine's packages, without a network")
    add("--samples", type=Path, help="folder of pages with truth.json (default: dense generated pages)")
    add("--device", choices=("cuda", "cpu"), default="cuda", help="cpu runs the same code where there is no GPU")
    add("--pages", type=int, default=256, help="different ones, of which each batch is another choice (default: 256)")
    add("--batches", type=int, nargs="+", help="(default: 1 8 16 32 64, on the CPU 1 and --pages)")
    add("--timed-batches", type=int, help="of each variant and size (default: 50, on the CPU 2)")
    add("--judged-pages", type=int, default=64, help="read for their words (default: %(default)s)")
    add("--repeats", type=int, help="of the networks alone (default: 3, on the CPU 1)")
    add("--peer-pages", type=int, default=8, help="for the seed's script; 0: none (default: %(default)s)")
    add("--latency-requests", type=int, help="(default: 60, on the CPU those of --pages)")
    add("--budget-s", type=float, default=390.0, help="begin nothing later than this (default: %(default)s)")
    add("--step-s", type=float, default=150.0, help="end one that takes longer (default: %(default)s)")
    add("--served-pages", type=int, help="through TorchServe; 0: none (default: 2048, on the CPU those of --pages)")
    add("--budget", type=Path, default=ROOT / "build" / "gpu-budget.json", help="(default: %(default)s)")
    add("--output", type=Path, default=ROOT / "build" / "bench-gpu" / "report.json", help="(default: %(default)s)")
    values = vars(parser.parse_args(arguments))
    given = {name: value for name, value in values.items() if value is not None}
    options = {**values, **_defaults(values["device"], values["pages"]), **given}
    return Options(**{**options, "batches": tuple(options["batches"])})


def _defaults(device: str, pages: int) -> dict[str, object]:
    """What depends on the device: a GPU needs much work for its load to be sampled, a CPU shows that the code runs."""
    if device == "cuda":
        many = {"timed_batches": 50, "repeats": 3, "latency_requests": 60, "served_pages": 2048}
        return {"batches": (1, 8, 16, 32, 64), **many}
    return {"batches": (1, pages), "timed_batches": 2, "repeats": 1, "latency_requests": pages, "served_pages": pages}
