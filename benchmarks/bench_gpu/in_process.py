"""The chain in this process: pages/s a batch size, time a stage, networks alone, latency of single pages."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from quintet.errors import Failure

from benchmarks.bench.memory import tree_bytes
from benchmarks.bench.networks import STAGES, Call, PageChain, run_calls, synchronise, timed_parts
from benchmarks.bench_gpu.busy import GpuUsage


@dataclass(frozen=True)
class Throughput:
    """One batch size."""

    batch: int
    pages_per_s: tuple[float, ...]
    busy: float | None
    device_peak_bytes: int | None
    host_bytes: int

    @property
    def median(self) -> float:
        """Pages a second."""
        return statistics.median(self.pages_per_s)


def throughput(chain: PageChain, bodies: Sequence[bytes], batch: int, repeats: int, pid: int) -> Throughput:
    """Bodies to results, batch after batch, after one batch to warm up."""
    chain(bodies[:batch])
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    rates = []
    with GpuUsage() as gpu:
        for _ in range(repeats):
            begin = time.perf_counter()
            read(chain, bodies, batch)
            rates.append(len(bodies) / (time.perf_counter() - begin))
    reserved = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else None
    return Throughput(batch, tuple(rates), gpu.usage.busy, reserved, tree_bytes(pid))


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
