"""The chain in process, one setting changed at a time: number format, where JPEGs are decoded, captured launches."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.bench.networks import PageChain, synchronise
from benchmarks.bench_gpu import in_process
from benchmarks.bench_gpu.options import Options

# Named one by one, so that a row says the same whatever `auto` comes to mean.
_BASE = {"engine": "torch", "jpeg": "host", "graphs": "eager"}


@dataclass(frozen=True)
class Variant:
    """One row: what differs from the first."""

    key: str
    title: str
    settings: Mapping[str, str] = field(default_factory=dict)


BASE = Variant("base", "JPEG on the host, eager launches")
REFERENCE = Variant("float32", "single precision", {"dtype": "float32"})
VARIANTS = (
    BASE,
    REFERENCE,
    Variant("jpeg", "JPEG on the device", {"jpeg": "device"}),
    Variant("graphs", "captured launches", {"graphs": "captured"}),
    Variant("both", "both", {"jpeg": "device", "graphs": "captured"}),
    Variant("bfloat16", "bfloat16", {"dtype": "bfloat16"}),
)


@dataclass(frozen=True)
class VariantFigures:
    """One row.

    Attributes:
        start_s: loading the networks and warming up, as a worker of the service does before it is ready.
        throughput: at the largest batch.
        latency_ms: of one page at a time.
        results: what was read of the different pages, by file name.
    """

    variant: Variant
    dtype: str
    start_s: float
    throughput: in_process.Throughput
    latency_ms: dict[str, float]
    results: dict[str, dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Figures alone, without what was read."""
        return {
            "key": self.variant.key,
            "title": self.variant.title,
            "settings": {**_BASE, **self.variant.settings},
            "dtype": self.dtype,
            "start_s": self.start_s,
            "pages_per_s": self.throughput.pages_per_s,
            "median": self.throughput.median,
            "busy": self.throughput.busy,
            "device_peak_bytes": self.throughput.device_peak_bytes,
            "host_bytes": self.throughput.host_bytes,
            "latency_ms": self.latency_ms,
        }


def open_chain(options: Options, variant: Variant) -> PageChain:
    """A chain with a variant's settings, not warmed up; what earlier chains held of the device is given back first."""
    gc.collect()  # a chain's parts know each other in circles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return PageChain.from_options({"device": options.device, **_BASE, **variant.settings}, options.models)


def measure(options: Options, variant: Variant, names: Sequence[str], bodies: Sequence[bytes]) -> VariantFigures:
    """One row.

    Args:
        options: of the command.
        variant: what is set.
        names: of the different pages, which are the first of the bodies.
        bodies: all pages, as often as they are read.

    Raises:
        SettingsError: this machine does not have what the variant asks for.
    """
    begin, largest = time.perf_counter(), max(options.batches)
    chain = open_chain(options, variant)
    chain.warm_up()
    synchronise()
    start_s = time.perf_counter() - begin
    results = in_process.read(chain, bodies[: len(names)], largest)
    throughput = in_process.throughput(chain, bodies, largest, options.repeats, os.getpid())
    latency = in_process.latencies_ms(chain, bodies, options.latency_requests)
    dtype = str(chain.engine.dtype).removeprefix("torch.")
    named = {name: result for name, result in zip(names, results, strict=True) if result is not None}
    return VariantFigures(variant, dtype, start_s, throughput, in_process.percentiles(latency), named)
