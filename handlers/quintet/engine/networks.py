"""What a network is to the chain, whichever engine runs it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

# (N, 3, H, W) in; the outputs, or what was made of them.
Network = Callable[[Tensor], tuple[Tensor, ...]]
# What is made of the outputs while they lie in the network's own memory.
Shrink = Callable[..., tuple[Tensor, ...]]
Shrinking = Callable[[Tensor, Shrink], tuple[Tensor, ...]]


def as_they_are(*outputs: Tensor) -> tuple[Tensor, ...]:
    """Shrink nothing."""
    return outputs
