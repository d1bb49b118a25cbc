"""What a chain costs while it runs: waits and copies, memory, time."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice, zip_longest
from typing import Any

import psutil

from quintet.authoring.checks.subject import BATCH, BrokenPromiseError, Subject, outcomes_of
from quintet.authoring.checks.waits import CountWaits, InTurn

_FEW, _MANY = 1, 8
_SETTLING_PASSES, _PASSES = 3, 4
# What allocators do by themselves.
_GROWTH, _GROWTH_BYTES = 0.05, 32 << 20
_SIZES = (1, 8, BATCH)
_TIMED_S = 2.0


@dataclass(frozen=True)
class Spent:
    """What a batch costs its device."""

    copies: int  # to the host
    outside: int  # waits outside the calls of stages
    most: list[int]  # waits of a single call of each stage
    waits: int
    operators: int


def waits_do_not_grow(subject: Subject) -> str:
    """Copies to the host and waits for the device do not grow with the batch.

    A stage may take more calls for more images, as it does on a CPU; a call may not wait more often.
    """
    few, many = (_spent(subject, count) for count in (_FEW, _MANY))
    if many.copies > few.copies:
        raise BrokenPromiseError(f"{few.copies} copies to the host for {_FEW} body, {many.copies} for {_MANY}")
    if many.outside > few.outside:
        raise BrokenPromiseError(
            f"{few.outside} waits for {_FEW} body, {many.outside} for {_MANY}: is there a loop over images or regions?"
        )
    if any(more > less for less, more in zip_longest(few.most, many.most, fillvalue=0)):
        raise BrokenPromiseError(
            f"waits in a call of each stage are {few.most} for {_FEW} body, {many.most} for {_MANY}"
        )
    return (
        f"{few.copies} copies, {few.waits} waits, {few.operators} operators for {_FEW} body; "
        f"{many.copies}, {many.waits}, {many.operators} for {_MANY}"
    )


def memory_is_bounded(subject: Subject) -> str:
    """The same batch again and again takes no more memory, processes that decode included."""
    bodies = subject.bodies[:_MANY]

    def after(passes: int) -> int:
        for _ in range(passes):
            outcomes_of(subject.chain, bodies)
        gc.collect()
        process = psutil.Process()
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))

    before = after(_SETTLING_PASSES)
    later = after(_PASSES)
    words = f"{before / 1e6:,.0f} MB, {later / 1e6:,.0f} MB after {_PASSES} more batches of {len(bodies)}"
    if later - before > max(_GROWTH * before, _GROWTH_BYTES):
        raise BrokenPromiseError(f"it grows: {words}")
    return words


def throughput(subject: Subject) -> str:
    """Bodies a second by the size of a batch; a figure, no promise."""
    rates = []
    for size in _SIZES:
        bodies = cycle(subject.bodies)
        begin, done = time.perf_counter(), 0
        while not done or time.perf_counter() - begin < _TIMED_S:
            outcomes_of(subject.chain, list(islice(bodies, size)))
            done += size
        rates.append(f"{done / (time.perf_counter() - begin):.1f}/s in batches of {size}")
    return f"{', '.join(rates)}, on {subject.chain.engine.device}"


def _spent(subject: Subject, count: int) -> Spent:
    engine: Any = subject.chain.engine
    before = getattr(engine, "host_copies", 0)
    with CountWaits() as mode, _calls_in_turn(engine, InTurn(mode)) as calls:
        outcomes_of(subject.chain, [subject.bodies[0]] * count)
    copies, waits = getattr(engine, "host_copies", 0) - before, mode.waits.total()
    return Spent(copies, waits - calls.within, calls.most, waits, mode.operators)


@contextmanager
def _calls_in_turn(engine: Any, calls: InTurn) -> Iterator[InTurn]:  # noqa: ANN401 - any engine
    """Operators are counted in one thread: have the calls of all stages run in it."""
    if not hasattr(engine, "each"):
        yield calls
        return
    engine.each = calls
    try:
        yield calls
    finally:
        del engine.each
