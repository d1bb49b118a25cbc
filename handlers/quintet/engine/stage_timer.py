"""How long the stages of a chain take, measured so that nothing waits for the measuring.

On a CPU by the host's clock. On CUDA the host only queues work, so there the stages that run on the device are marked
by events in the device's own queue, which cost microseconds; they are read when the results have come back. What an
event tells is when the device got there: the time between two includes what the device spent waiting for the host.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


class StageTimer:
    """Adds up the time of each stage until it is asked. Belongs to the thread that calls the chain."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._marks: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    def timed(self, stage: str, work: Callable[P, T], *, on_host: bool = False) -> Callable[P, T]:
        """The same work, timed; several works may share a stage. `on_host`: the host does it, also on CUDA."""
        by_events = self._device.type == "cuda" and not on_host

        def run(*arguments: P.args, **options: P.kwargs) -> T:
            with self._by_events(stage) if by_events else self._by_clock(stage):
                return work(*arguments, **options)

        return run

    def take(self) -> dict[str, float]:
        """Seconds of each stage since the last time, for all batches together; call it between batches.

        A stage that failed is not counted. On CUDA it waits, for microseconds, until the device has passed the last
        event.
        """
        taken, marks = self._seconds, self._marks
        self._seconds, self._marks = defaultdict(float), []
        try:
            for stage, begin, end in marks:
                end.synchronize()
                taken[stage] += begin.elapsed_time(end) / 1000
        except RuntimeError:
            return {}  # the device has failed: that is told with the pages
        return dict(taken)

    @contextmanager
    def _by_clock(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self._seconds[stage] += time.perf_counter() - begin

    @contextmanager
    def _by_events(self, stage: str) -> Iterator[None]:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        yield
        end.record()
        self._marks.append((stage, begin, end))
