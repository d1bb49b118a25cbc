"""The GPU benchmark itself: steps in the order of their worth, each begun only within the budget of time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from benchmarks.bench.machine import describe_machine, headline
from benchmarks.bench.page_sets import PageSet
from benchmarks.bench_gpu import tables
from benchmarks.bench_gpu.accuracy import compare, word_f1
from benchmarks.bench_gpu.child import run_step
from benchmarks.bench_gpu.options import Options
from benchmarks.bench_gpu.pages import make_pages
from benchmarks.bench_gpu.variants import BASE, REFERENCE, VARIANTS, Variant

NO_CUDA = (
    "torch sees no CUDA device, so there is nothing to measure here.\n"
    "On a machine with a GPU run: python -m benchmarks.bench_gpu --models DIR [--wheels DIR]\n"
    "To run the same code on this CPU: python -m benchmarks.bench_gpu --device cpu --pages 4\n"
)
_STEPS = "benchmarks.bench_gpu.steps"


@dataclass(frozen=True)
class Step:
    """One measurement.

    Attributes:
        title: its name in the report.
        function: `module:name` of what makes it.
        argument: what that is told.
        environment: of its process.
        times: how many times as long as others it may take.
    """

    title: str
    function: str
    argument: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    times: int = 1


def plan(options: Options) -> list[Step]:
    """All steps, the most telling first."""

    def of(variant: Variant) -> Step:
        return Step(variant.title, f"{_STEPS}:variant", variant.key, variant.environment)

    steps = [of(BASE), Step("stages", f"{_STEPS}:stages")]
    steps += [Step("the seed's script", f"{_STEPS}:seed_script")] if options.peer_pages else []
    steps += [of(variant) for variant in VARIANTS[1:]]
    steps += [Step("TorchServe", f"{_STEPS}:torchserve", times=3)] if options.served_pages else []
    return [*steps, Step("batch sizes", f"{_STEPS}:batch_sizes")]


def run(options: Options, steps: Sequence[Step] | None = None) -> int:
    """Measure, print, write the JSON after every step; 2 where there is no GPU and nobody asked for the CPU."""
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.stdout.write(NO_CUDA)
        return 2
    begin, machine = time.monotonic(), describe_machine()
    sys.stdout.write(f"{headline(machine)}\n")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    pages = make_pages(options.samples, options.pages, options.output.parent / "pages")
    found = _Found(options, pages, machine)
    options = replace(options, samples=pages.folder)
    for number, step in enumerate(plan(options) if steps is None else steps):
        left_s = begin + options.budget_s - time.monotonic()
        if number and left_s <= 0:  # a run without one row says nothing
            found.left_out(step, f"the budget of {options.budget_s:.0f} s is used up")
        else:
            limit_s = options.step_s * step.times
            found.enter(step, *run_step(options, step.function, step.argument, limit_s, step.environment))
        found.write(time.monotonic() - begin)
    sys.stdout.write(f"\n{tables.describe(found.document)}\n\nJSON: {options.output}\n")
    return 0


class _Found:
    """What all steps have found."""

    def __init__(self, options: Options, pages: PageSet, machine: Mapping[str, Any]) -> None:
        self._pages, self._output, self._judged = pages, options.output, options.judged_pages
        self._read: dict[str, dict[str, Any]] = {}  # a variant's results by file name
        self.document: dict[str, Any] = {
            "schema": "quintet.bench-gpu/3",
            "machine": machine,
            "options": json.loads(options.as_json()),
            "set": pages.name,
            "different_pages": len(pages.pages),
            "words_per_page": pages.words_per_page(),
            "budget": json.loads(options.budget.read_text("utf-8")) if options.budget.exists() else None,
            "variants": [],
            "left_out": [],
        }

    def enter(self, step: Step, found: Mapping[str, Any], reason: str | None) -> None:
        """What a step has found, and why that is not all."""
        for key, value in found.items():
            if key == "row":
                self.document["variants"].append(value)
            elif key == "results":
                self._read[found["row"]["key"]] = value
            else:
                self.document[key] = value
        if reason is None:
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {step.title} done\n")
        else:
            self.left_out(step, reason)

    def left_out(self, step: Step, reason: str) -> None:
        """A step that is missing, or a part of it."""
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {step.title}: {reason}\n")
        self.document["left_out"].append(f"{step.title}: {reason}")

    def write(self, seconds: float) -> None:
        """The JSON of all that there is so far."""
        self.document["seconds"] = seconds
        for row in self.document["variants"]:
            row.update(self._accuracy(row["key"]))
        half = self._output.with_suffix(".half")
        half.write_text(json.dumps(self.document, indent=1) + "\n", encoding="utf-8")
        half.replace(self._output)

    def _accuracy(self, key: str) -> dict[str, Any]:
        """A row's words beside those of single precision, as far as both were read."""
        if key not in self._read:
            return {}
        names = [page.name for page in self._pages.pages[: self._judged]]
        found: dict[str, Any] = {"word_f1": word_f1(self._read[key], self._pages.truth, names)}
        if REFERENCE.key in self._read:
            agreement = compare(self._read[REFERENCE.key], self._read[key], self._pages.truth)
            found |= {"identical_share": agreement.identical_share, "passes": agreement.passes}
        return found
