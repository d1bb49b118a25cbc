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
from benchmarks.bench.networks import PageChain, Settings, recorded_calls
from benchmarks.bench.page_sets import PageSet, repeat_pages
from benchmarks.bench_gpu import in_process, tables
from benchmarks.bench_gpu.options import Options
from benchmarks.bench_gpu.pages import make_pages
from benchmarks.score import load_truth, read_answer, score_run

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
    machine = describe_machine()
    sys.stdout.write(f"{headline(machine)}\n")
    pages = make_pages(options.samples, options.pages, options.output.parent / "pages")
    found = _Bench(options, pages).measure()
    document = {"schema": "quintet.bench-gpu/1", "machine": machine, "options": _plain(asdict(options)), **found}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"\n{tables.describe(found)}\n\nJSON: {options.output}\n")
    return 0


class _Bench:
    """One run over one set of pages."""

    def __init__(self, options: Options, pages: PageSet) -> None:
        self._options = options
        self._pages = pages
        self._begin = time.monotonic()
        self._found: dict[str, Any] = {
            "set": pages.name,
            "different_pages": len(pages.pages),
            "words_per_page": pages.words_per_page(),
            "left_out": [],
        }
        bodies = [page.read_bytes() for page in pages.pages]
        self._bodies = [bodies[number % len(bodies)] for number in range(options.pages)]

    def measure(self) -> dict[str, Any]:
        """Everything that fits into the budget."""
        self._within("chain", self._in_process)
        if self._options.served_pages:
            self._within("service", self._through_service)
        self._found["seconds"] = time.monotonic() - self._begin
        return self._found

    def _in_process(self) -> None:
        options, bodies, found = self._options, self._bodies, self._found
        with recorded_calls() as calls:
            chain = PageChain(Settings(device=options.device, engine="torch"), options.models)
            largest = max(options.batches)
            begin = time.monotonic()
            found["word_f1"] = self._word_f1(chain, largest)
            found["first_pass_s"] = time.monotonic() - begin  # with compiling and warming up
        found["dtype"], found["engine"] = str(chain.engine.dtype), chain.engine.name
        different = len(self._pages.pages)
        found["network_ms"] = in_process.network_times_ms(chain, calls, different, options.repeats)
        calls.clear()
        found["part_ms"] = in_process.part_times_ms(chain, bodies[:different], largest)
        found["latency_ms"] = in_process.percentiles(in_process.latencies_ms(chain, bodies, options.latency_requests))
        found["throughput"] = []
        for batch in sorted(options.batches, reverse=True):
            self._within(f"batch {batch}", partial(self._one_batch, chain, batch))
        del chain  # the service needs the device's memory
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _one_batch(self, chain: PageChain, batch: int) -> None:
        one = in_process.throughput(chain, self._bodies, batch, self._options.repeats, os.getpid())
        self._found["throughput"].append({**asdict(one), "median": one.median})

    def _word_f1(self, chain: PageChain, batch: int) -> float:
        """Word F1 over the different pages, which is also the pass that warms everything up."""
        results = in_process.read(chain, self._bodies[: len(self._pages.pages)], batch)
        named = zip(self._pages.pages, results, strict=True)
        answers = {page.name: read_answer(result) for page, result in named if result is not None}
        truth = load_truth(self._pages.truth)
        return score_run({name: truth[name] for name in (page.name for page in self._pages.pages)}, answers).f1

    def _through_service(self) -> None:
        options, work = self._options, self._options.output.parent / "work"
        try:
            from benchmarks.bench_gpu import served  # noqa: PLC0415 - what it needs may not be installed

            pages = repeat_pages(self._pages, options.served_pages, work / "pages")
            records = served.measure(options.models, pages, options.repeats, options.latency_requests, work)
            self._found["served"] = [asdict(record) for record in records]
        except (ImportError, RuntimeError) as error:  # Unavailable among them
            self._found["left_out"].append(f"TorchServe: {error}")

    def _within(self, name: str, step: Callable[[], None]) -> None:
        """Do one step, unless the budget is used up."""
        spent = time.monotonic() - self._begin
        if spent > self._options.budget_s:
            self._found["left_out"].append(f"{name}: the budget of {self._options.budget_s:.0f} s is used up")
            return
        step()
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {name} done\n")


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
