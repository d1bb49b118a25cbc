"""What a service tells of itself: numbers under stable names, in seconds and bytes. Knows no server.

Each name stands in handlers/metrics.yaml with its kind and its label; docs/operations.md says what each is for.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quintet.errors import Code, Failure
from quintet.frame.chain import Outcome

# Reading it costs a system call and, on CUDA, a driver call: too much for every batch of a page.
MEMORY_EVERY_S = 5.0


@dataclass(frozen=True)
class Metric:
    """One number."""

    name: str
    kind: str  # counter, gauge or histogram
    value: float  # what is added to a counter, set as a gauge, or observed
    labels: tuple[str, ...] = ()  # values of the metric's own labels, in the order of metrics.yaml


@dataclass(frozen=True)
class BatchStats:
    """What became of the requests that a server handed over together."""

    sizes: Sequence[int]  # pages of each call of the chain
    outcomes: Sequence[Outcome]  # of all pages
    refusals: Sequence[Failure]  # of requests that were refused as a whole
    body_bytes: int  # of all encoded pages
    stage_seconds: Mapping[str, float]  # of the chain's stages; empty if the chain does not time itself

    @property
    def codes(self) -> Counter[str]:
        """Pages by outcome."""
        return Counter(outcome.code.value if isinstance(outcome, Failure) else "ok" for outcome in self.outcomes)


class Metrics:
    """The numbers of one worker, whose name is the same after a restart."""

    def __init__(self, worker: str, device_memory: Callable[[], Mapping[str, int]]) -> None:
        self._worker = worker
        self._device_memory = device_memory
        self._memory_told_at = float("-inf")

    def at_start(self) -> list[Metric]:
        """Every counter at zero and every gauge: what is not there cannot be asked for."""
        return [
            *_counters("quintet_pages_total", dict.fromkeys(["ok", *Code], 0)),
            *_counters("quintet_refused_requests_total", dict.fromkeys(Code, 0)),
            Metric("quintet_body_bytes_total", "counter", 0),
            self.in_progress(0),
            *self._memory(),
        ]

    def in_progress(self, pages: int) -> Metric:
        """How many pages this worker has in hand."""
        return Metric("quintet_pages_in_progress", "gauge", pages, (self._worker,))

    def of_batch(self, stats: BatchStats) -> list[Metric]:
        """What is told of one batch of requests."""
        stages = stats.stage_seconds.items()
        return [
            *_counters("quintet_batches_total", Counter(map(str, stats.sizes))),
            *_counters("quintet_pages_total", stats.codes),
            *_counters("quintet_refused_requests_total", Counter(refusal.code.value for refusal in stats.refusals)),
            Metric("quintet_body_bytes_total", "counter", stats.body_bytes),
            *(Metric("quintet_stage_seconds", "histogram", round(s, 6), (stage,)) for stage, s in stages),
            self.in_progress(0),
            *self._memory(),
        ]

    def _memory(self) -> list[Metric]:
        """Memory by kind, unless it was told a moment ago."""
        now = time.monotonic()
        if now - self._memory_told_at < MEMORY_EVERY_S:
            return []
        self._memory_told_at = now
        kinds = {"resident": _resident_bytes(), **{f"device_{kind}": n for kind, n in self._device_memory().items()}}
        return [Metric("quintet_memory_bytes", "gauge", size, (kind, self._worker)) for kind, size in kinds.items()]


def _counters(name: str, counts: Mapping[str, int]) -> list[Metric]:
    return [Metric(name, "counter", count, (str(label),)) for label, count in counts.items()]


def _resident_bytes() -> int:
    """Memory of this process; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
