"""All that the benchmarks know of the chain's inside: its networks, how it plans their calls, and its parts.

Whoever changes the chain changes this file and no other of the benchmarks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import torch
from quintet.engine.calls import plan_calls
from quintet.engine.engine import Engine
from quintet.engine.networks import Network, Shrink, Shrinking
from quintet.engine.stage_timer import StageTimer
from quintet.frame.chain import Chain
from quintet.pages.budgets import Budgets
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings
from quintet.pages.stages.recognition import bucket_widths
from quintet.pages.weights import STAGES, load_alphabet, networks_in
from quintet.stages.text_detection import canvas_sizes
from torch import Tensor

__all__ = [
    "MODEL_STORE",
    "STAGES",
    "Call",
    "Engine",
    "Network",
    "PageChain",
    "Settings",
    "Shrink",
    "Shrinking",
    "bucket_widths",
    "budgets_of",
    "canvas_sizes",
    "load_alphabet",
    "named_stages",
    "network_of",
    "networks_in",
    "plan_calls",
    "recorded_calls",
    "run_calls",
    "run_each",
    "synchronise",
    "timed_parts",
    "wrapped_networks",
]  # fmt: skip

MODEL_STORE = Path(__file__).resolve().parents[1] / "model_store"
Call = tuple[str, Network, Tensor]  # stage, network, its input
Result = TypeVar("Result")
# Type checkers see here that the chain is what the service hosts.
HOSTED: type[Chain] = PageChain


def network_of(chain: PageChain, stage: str) -> Network:
    """The network of one stage, on the chain's engine: (N, 3, H, W) in, its outputs out."""
    network: Network = chain.engine.network(stage)
    return network


def budgets_of(chain: PageChain) -> Budgets:
    """How much the chain puts into one call of a network."""
    return chain.budgets


def run_each(chain: PageChain, work: Callable[[Tensor], Result], calls: Sequence[Tensor]) -> list[Result]:
    """Do the work of each call in the way of the chain's engine: side by side on a CPU, in turn on CUDA."""
    return chain.engine.each(work, calls)


def run_calls(chain: PageChain, calls: Sequence[Call]) -> None:
    """Repeat recorded calls of one network and let go of what it says."""

    def run(number: Tensor) -> None:
        _, network, batch = calls[int(number)]
        network(batch)

    chain.engine.each(run, list(torch.arange(len(calls))))


@contextmanager
def recorded_calls() -> Iterator[list[Call]]:
    """Chains made within note each call of their networks: stage, network and a copy of its input, in order.

    The noted networks let go of what they say: what the chain makes of it is no part of them.

    What they do after the end is not noted any more.
    """
    calls: list[Call] = []
    recording = True
    original = Engine.network

    def network(engine: Engine, stage: str, *shrink: Shrink) -> Network:
        inner = original(engine, stage, *shrink)
        alone = original(engine, stage, lambda *_outputs: ())

        def run(batch: Tensor) -> tuple[Tensor, ...]:
            if recording:
                calls.append((stage, alone, batch.clone()))
            return inner(batch)

        return run

    with patch.object(Engine, "network", network):
        yield calls
    recording = False


@contextmanager
def wrapped_networks(wrap: Callable[[str, Shrinking], Shrinking]) -> Iterator[None]:
    """Engines made within run what `wrap` makes of each network's name and of what runs it."""
    original = Engine._load

    def load(engine: Engine, *arguments: Any) -> Shrinking:  # noqa: ANN401 - passed on as they are, the name last
        return wrap(arguments[-1], original(engine, *arguments))

    with patch.object(Engine, "_load", load):
        yield


@contextmanager
def named_stages(within: Callable[[str], AbstractContextManager[None]]) -> Iterator[None]:
    """Chains made within run each stage in what `within` makes of its name."""
    original = StageTimer.timed

    def timed(timer: StageTimer, stage: str, work: Callable[..., Result], **options: bool) -> Callable[..., Result]:
        run = original(timer, stage, work, **options)

        def named(*values: Any, **rest: Any) -> Result:  # noqa: ANN401 - passed on as they are
            with within(stage):
                return run(*values, **rest)

        return named

    with patch.object(StageTimer, "timed", timed):
        yield


@contextmanager
def timed_parts(chain: PageChain) -> Iterator[dict[str, float]]:
    """Seconds that each part of a chain takes within, by the part's name, the device waited for around each call."""
    seconds: dict[str, float] = {}
    parts = {
        name: part for name, part in vars(chain).items() if callable(part) and part.__module__.startswith("quintet.")
    }
    try:
        for name, part in parts.items():
            setattr(chain, name, _Timed(part, name.strip("_"), seconds))
        yield seconds
    finally:
        for name, part in parts.items():
            setattr(chain, name, part)


class _Timed:
    """A part of the chain that counts its own time."""

    def __init__(self, inner: Any, name: str, seconds: dict[str, float]) -> None:  # noqa: ANN401 - any callable
        self._inner = inner
        self._name = name
        self._seconds = seconds

    def __call__(self, *values: Any, **named: Any) -> Any:  # noqa: ANN401 - passed on as they are
        synchronise()
        begin = time.perf_counter()
        result = self._inner(*values, **named)
        synchronise()
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + time.perf_counter() - begin
        return result


def synchronise() -> None:
    """Wait for the device, where it works on its own."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
