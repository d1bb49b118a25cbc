"""Stages are timed where they run, without waiting for them."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from quintet.engine.stage_timer import StageTimer

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_times_of_a_stage_add_up_until_they_are_taken() -> None:
    timer = StageTimer(CPU)
    first, second = timer.timed("decode", sleep), timer.timed("decode", sleep)
    assert (first(0.02), second(0.03)) == (0.02, 0.03)
    timer.timed("write", sleep)(0.0)
    taken = timer.take()
    assert set(taken) == {"decode", "write"}
    assert 0.05 <= taken["decode"] < 5
    assert timer.take() == {}


def test_a_stage_that_fails_is_not_counted() -> None:
    timer = StageTimer(CPU)

    def fails() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        timer.timed("layout", fails)()
    assert timer.take() == {}


def test_a_timed_stage_takes_and_gives_what_it_did() -> None:
    def stage(pages: int, *, twice: bool = False) -> int:
        return pages * (2 if twice else 1)

    timed = StageTimer(CPU).timed("layout", stage)
    assert (timed(3), timed(3, twice=True)) == (3, 6)


class Event:
    """A CUDA event as far as a stage timer knows them, on a device that is 100 ms behind the host."""

    clock_ms = 0.0
    waits = 0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing
        self.at_ms: float | None = None

    def record(self) -> None:
        Event.clock_ms += 100
        self.at_ms = Event.clock_ms

    def synchronize(self) -> None:
        Event.waits += 1

    def elapsed_time(self, end: Event) -> float:
        assert self.at_ms is not None
        assert end.at_ms is not None
        return end.at_ms - self.at_ms


def test_on_cuda_the_device_tells_and_nothing_waits_before_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Event", Event)
    timer = StageTimer(CUDA)
    layout, decode = timer.timed("layout", sleep), timer.timed("decode", sleep, on_host=True)
    before = Event.waits
    for _ in range(3):
        layout(0.0)
    decode(0.01)
    assert Event.waits == before
    taken = timer.take()
    assert taken["layout"] == pytest.approx(0.3)
    assert 0.01 <= taken["decode"] < 5
    assert timer.take() == {}


def test_a_device_that_has_failed_fails_no_batch_by_its_times(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost(Event):
        def synchronize(self) -> None:
            raise RuntimeError("CUDA error: device lost")

    monkeypatch.setattr(torch.cuda, "Event", Lost)
    timer = StageTimer(CUDA)
    timer.timed("layout", sleep)(0.0)
    assert timer.take() == {}
    assert timer.take() == {}


def test_timing_costs_microseconds() -> None:
    timer = StageTimer(CPU)
    nothing: Any = timer.timed("nothing", lambda: None)
    begin = time.perf_counter()
    for _ in range(1000):
        nothing()
    assert (time.perf_counter() - begin) / 1000 < 1e-4
