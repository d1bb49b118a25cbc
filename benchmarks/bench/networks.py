"""All that the benchmarks know of the chain's inside: its networks, how it plans their calls, and its parts.

Whoever changes the chain changes this file and no other of the benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from quintet.calls import plan_calls
from quintet.chain import PageChain, in_batches
from quintet.engine import Engine
from quintet.settings import Settings
from quintet.stages.recognition import bucket_widths
from quintet.stages.text_detection import canvas_sizes
from quintet.weights import STAGES, load_alphabet
from torch import Tensor

__all__ = [
    "MODEL_STORE", "STAGES", "Network", "PageChain", "Settings", "bucket_widths", "canvas_sizes", "in_batches",
    "load_alphabet", "network_of", "plan_calls", "recorded_calls", "synchronise",
]  # fmt: skip

MODEL_STORE = Path(__file__).resolve().parents[2] / "model_store"
Network = Callable[[Tensor], tuple[Tensor, ...]]


def network_of(chain: PageChain, stage: str) -> Network:
    """The network of one stage, on the chain's engine: (N, 3, H, W) in, its outputs out."""
    network: Network = chain.engine.network(stage)
    return network


@contextmanager
def recorded_calls() -> Iterator[list[tuple[str, Network, Tensor]]]:
    """Chains made within note each call of their networks: stage, network and a copy of its input, in order."""
    calls: list[tuple[str, Network, Tensor]] = []
    original = Engine.network

    def network(engine: Engine, stage: str) -> Network:
        inner: Network = original(engine, stage)

        def run(batch: Tensor) -> tuple[Tensor, ...]:
            calls.append((stage, inner, batch.clone()))
            return inner(batch)

        return run

    with patch.object(Engine, "network", network):
        yield calls


def synchronise() -> None:
    """Wait for the device, where it works on its own."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
