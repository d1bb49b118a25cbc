"""The GPU benchmark itself: measurements in the order of their worth, each begun only within the budget of time."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.bench.machine import describe_machine, headline
from benchmarks.bench.networks import PageChain, recorded_calls
from benchmarks.bench.page_sets import PageSet, repeat_pages
from benchmarks.bench_gpu import in_process, peer, tables, variants
from benchmarks.bench_gpu.accuracy import compare, word_f1
from benchmarks.bench_gpu.options import Options
from benchmarks.bench_gpu.pages import make_pages
from benchmarks.bench_gpu.variants import BASE, REFERENCE, VARIANTS, Variant, VariantFigures

NO_CUDA = (
    "torch sees no CUDA device, so there is nothing to measure here.\n"
    "On a machine with a GPU run: python -m benchmarks.bench_gpu --models DIR [--wheels DIR]\n"
    "To run the same code on this CPU: python -m benchmarks.bench_gpu --device cpu --pages 4\n"
)


def run(options: Options) -> int:
    """Measure, print, write the JSON; 2 where there is no GPU and nobody asked for the CPU."""
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.stdout.write(NO_CUDA)
        return 2
    begin, machine = time.monotonic(), describe_machine()
    sys.stdout.write(f"{headline(machine)}\n")
    pages = make_pages(options.samples, options.pages, options.output.parent / "pages")
    found = _Bench(options, pages, begin).measure()
    document = {"schema": "quintet.bench-gpu/2", "machine": machine, "options": _plain(asdict(options)), **found}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"\n{tables.describe(found)}\n\nJSON: {options.output}\n")
    return 0


class _Bench:
    """One run over one set of pages."""

    def __init__(self, options: Options, pages: PageSet, begin: float) -> None:
        self._options = options
        self._pages = pages
        self._deadline = begin + options.budget_s
        self._begin = begin
        self._names = [page.name for page in pages.pages]
        bodies = [page.read_bytes() for page in pages.pages]
        self._bodies = [bodies[number % len(bodies)] for number in range(options.pages)]
        self._figures: dict[str, VariantFigures] = {}
        self._found: dict[str, Any] = {
            "set": pages.name,
            "different_pages": len(pages.pages),
            "words_per_page": pages.words_per_page(),
            "throughput": [],
            "served": [],
            "left_out": [],
        }

    def measure(self) -> dict[str, Any]:
        """Everything that fits into the budget."""
        self._variant(BASE)  # whatever the budget: a run without one row says nothing
        self._within("stages", self._stages)
        if self._options.peer_pages:
            self._within("the seed's script", self._peer)
        for variant in VARIANTS[1:]:
            self._within(variant.title, partial(self._variant, variant))
        if self._options.served_pages:
            self._within("TorchServe", self._through_service)
        self._within("batch sizes", self._batch_sizes)
        self._found["variants"] = [self._with_accuracy(figures) for figures in self._figures.values()]
        self._found["seconds"] = time.monotonic() - self._begin
        return self._found

    def _variant(self, variant: Variant) -> None:
        self._figures[variant.key] = variants.measure(self._options, variant, self._names, self._bodies)

    def _with_accuracy(self, figures: VariantFigures) -> dict[str, Any]:
        """A row with its words beside those of single precision, if that was read."""
        row = {**figures.as_json(), "word_f1": word_f1(figures.results, self._pages.truth, self._names)}
        if (reference := self._figures.get(REFERENCE.key)) is None:
            return row
        agreement = compare(reference.results, figures.results, self._pages.truth)
        return {**row, "identical_share": agreement.identical_share, "passes": agreement.passes}

    def _stages(self) -> None:
        """Time a stage and a network: the device is waited for around each, so that this is no measure of speed."""
        bodies, largest = self._bodies[: len(self._names)], max(self._options.batches)
        with recorded_calls() as calls:
            chain = variants.open_chain(self._options, BASE)
            in_process.read(chain, bodies, largest)
        self._found["network_ms"] = in_process.network_times_ms(chain, calls, len(bodies), self._options.repeats)
        calls.clear()
        self._found["part_ms"] = in_process.part_times_ms(chain, bodies, largest)

    def _peer(self) -> None:
        output = self._options.output.parent / "peer"
        self._found["peer_pages_per_s"] = peer.pages_per_s(self._pages, self._options.peer_pages, output)

    def _batch_sizes(self) -> None:
        chain = variants.open_chain(self._options, BASE)
        for batch in sorted(self._options.batches, reverse=True):
            self._within(f"batch {batch}", partial(self._one_batch, chain, batch))

    def _one_batch(self, chain: PageChain, batch: int) -> None:
        one = in_process.throughput(chain, self._bodies, batch, self._options.repeats, os.getpid())
        self._found["throughput"].append({**asdict(one), "median": one.median})

    def _through_service(self) -> None:
        from benchmarks.bench_gpu import served  # noqa: PLC0415 - what it needs may not be installed

        work = self._options.output.parent / "work"
        pages = repeat_pages(self._pages, self._options.served_pages, work / "pages")
        with served.running(self._options.models, work) as service:
            for workers in served.WORKERS:
                self._within(f"TorchServe with {workers} workers", partial(self._serve, service, workers, pages))

    def _serve(self, service: Any, workers: int, pages: PageSet) -> None:  # noqa: ANN401 - imported where it is used
        from benchmarks.bench_gpu import served  # noqa: PLC0415 - as above

        work, requests = self._options.output.parent / "work", self._options.latency_requests
        self._found["served"].append(asdict(served.measure(service, workers, pages, requests, work, self._deadline)))

    def _within(self, name: str, step: Callable[[], None]) -> None:
        """Do one step, unless the budget is used up; one that cannot run here leaves the others their turn."""
        if time.monotonic() > self._deadline:
            reason = f"the budget of {self._options.budget_s:.0f} s is used up"
        else:
            try:
                step()
            except (ImportError, RuntimeError, ValueError) as error:  # settings, packages, memory: said in the table
                reason = f"{type(error).__name__}: {error}"
            else:
                sys.stderr.write(f"{time.strftime('%H:%M:%S')} {name} done\n")
                return
        self._found["left_out"].append(f"{name}: {reason}")


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
