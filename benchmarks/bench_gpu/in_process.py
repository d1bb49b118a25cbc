"""The chain in this process: milliseconds a batch and a stage, networks alone, latency of single pages, a trace."""

from __future__ import annotations

import math
import os
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from quintet.errors import Failure
from torch.profiler import ProfilerActivity, profile

from benchmarks.bench.memory import tree_bytes
from benchmarks.bench_gpu.busy import GpuUsage
from benchmarks.networks import STAGES, Call, PageChain, run_calls, synchronise, timed_parts


@dataclass(frozen=True)
class Throughput:
    """One batch size, over batches of different pages.

    Attributes:
        batch: pages.
        batch_ms: of each batch, in their order: the first ones meet shapes for which libraries prepare.
        busy: share of the time in which the GPU did something; None where nobody says.
        device_peak_bytes: what PyTorch had reserved.
        host_bytes: of the process and its children, at the end.
    """

    batch: int
    batch_ms: tuple[float, ...]
    busy: float | None
    device_peak_bytes: int | None
    host_bytes: int

    @property
    def pages_per_s(self) -> float:
        """Over the second half of the batches."""
        later = self.batch_ms[len(self.batch_ms) // 2 :]
        return 1000 * self.batch / statistics.fmean(later)

    def as_json(self) -> dict[str, Any]:
        """All figures."""
        return {**asdict(self), "pages_per_s": self.pages_per_s}


def throughput(
    chain: PageChain, bodies: Sequence[bytes], batch: int, batches: int, within_s: float = math.inf
) -> Throughput:
    """Bodies to results, batch after batch, with no other warm-up than the chain has had; none begun after so long."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    spent: list[float] = []
    with GpuUsage() as gpu:
        deadline = time.monotonic() + within_s
        for numbers in different_batches(len(bodies), batch, batches):
            if spent and time.monotonic() > deadline:
                break
            begin = time.perf_counter()
            chain([bodies[number] for number in numbers])
            synchronise()
            spent.append(1000 * (time.perf_counter() - begin))
    reserved = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else None
    return Throughput(batch, tuple(spent), gpu.usage.busy, reserved, tree_bytes(os.getpid()))


def different_batches(pages: int, batch: int, batches: int) -> list[list[int]]:
    """Numbers of pages for each batch, another choice each time: the same pages again have the same shapes.

    A page comes twice in a batch only where there are not enough of them.
    """
    rng = random.Random(f"{pages}/{batch}")
    return [rng.sample(range(pages), batch, counts=[-(-batch // pages)] * pages) for _ in range(batches)]


def read(chain: PageChain, bodies: Sequence[bytes], batch: int) -> list[dict[str, Any] | None]:
    """Results in order, None for a failure; done when the device is."""
    outcomes = [one for first in range(0, len(bodies), batch) for one in chain(bodies[first : first + batch])]
    synchronise()
    return [None if isinstance(outcome, Failure) else outcome for outcome in outcomes]


def part_times_ms(chain: PageChain, bodies: Sequence[bytes], batch: int) -> dict[str, float]:
    """Milliseconds a page of each part of the chain, the device waited for before and after each."""
    with timed_parts(chain) as seconds:
        read(chain, bodies, batch)
    return {name: 1000 * value / len(bodies) for name, value in seconds.items()}


@torch.inference_mode()
def network_times_ms(chain: PageChain, calls: Sequence[Call], pages: int, repeats: int) -> dict[str, float]:
    """Milliseconds a page of each network alone, on inputs that the chain gave it: the best of some passes."""
    by_stage = {stage: [call for call in calls if call[0] == stage] for stage in STAGES}
    return {
        stage: min(_time_calls(chain, own) for _ in range(repeats + 1)) * 1000 / pages
        for stage, own in by_stage.items()
    }


@torch.inference_mode()
def trace_call(calls: Sequence[Call], stage: str, path: Path) -> None:
    """Write a profiler trace of the largest call of a stage's network, for chrome://tracing, after one to warm up."""
    _, network, batch = max((call for call in calls if call[0] == stage), key=lambda call: call[2].numel())
    network(batch)
    synchronise()
    on_device = [ProfilerActivity.CUDA] if batch.is_cuda else []
    with profile(activities=[ProfilerActivity.CPU, *on_device], record_shapes=True) as trace:
        network(batch)
        synchronise()
    trace.export_chrome_trace(str(path))


def _time_calls(chain: PageChain, calls: Sequence[Call]) -> float:
    """Seconds for the calls of one stage, on a GPU queued without waiting in between."""
    synchronise()
    begin = time.perf_counter()
    run_calls(chain, calls)
    synchronise()
    return time.perf_counter() - begin


def latencies_ms(chain: PageChain, bodies: Sequence[bytes], count: int) -> list[float]:
    """Milliseconds of single pages one after the other; the first pass over the shapes is not counted."""
    for body in bodies[:8]:
        chain([body])
    spent = []
    for number in range(count):
        begin = time.perf_counter()
        chain([bodies[number % len(bodies)]])
        synchronise()
        spent.append(1000 * (time.perf_counter() - begin))
    return spent


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50 and p95; a single value is both."""
    ordered = sorted(values)
    return {"p50": statistics.median(ordered), "p95": ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]}
