"""How a batch is cut into calls of a network: equal sizes together, each call within a budget. Planned on the host."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor

# Which parts of a full call are sizes that calls are filled up to. Halves leave less empty, quarters go further down.
# An eighth of a full call of recognition keeps a GPU no longer than its launches do: smaller ones would save nothing.
Parts = tuple[int, ...]
HALVES: Parts = (1, 2, 4, 8)
QUARTERS: Parts = (1, 4, 16, 64)


def plan_calls(
    sizes_px: Tensor, budget_px: int, *, few_sizes: bool = False, parts: Parts | None = None
) -> list[Tensor]:
    """Item numbers of each call, int64 on the host; items of equal size in their order.

    Larger sizes come first, so that calls that run side by side end at about the same time.

    Args:
        sizes_px: (N, K) int64 on the host; what an item costs is the product of its row.
        budget_px: what a call may cost; an item above it goes alone.
        few_sizes: calls hold 1, 4, 16 … items, as many as the budget allows: more calls of fewer shapes.
        parts: calls will be filled up to these of a full call, and together leave at most a quarter of one empty.
    """
    if not len(sizes_px):
        return []
    cut = partial(_filled_calls, parts) if parts else _few_sizes if few_sizes else _full_calls
    kinds, kind = (-sizes_px).unique(dim=0, return_inverse=True)
    order = kind.argsort(stable=True)
    groups = order.split(kind.bincount(minlength=len(kinds)).tolist())
    costs = kinds.abs().prod(dim=1).tolist()
    return [
        call
        for group, cost in zip(groups, costs, strict=True)
        for call in group.split(cut(len(group), full_call(cost, budget_px)))
    ]


def full_call(cost: int, budget: int) -> int:
    """How many items of a cost a call holds: at least one."""
    return max(1, budget // cost)


def call_sizes(full: int, parts: Parts) -> list[int]:
    """What calls of up to `full` items are filled up to: parts of a full call, the largest first."""
    return sorted({math.ceil(full / part) for part in parts}, reverse=True)


def filled_size(count: int, sizes: Sequence[int]) -> int:
    """The least of the sizes that holds a call of some items, or of none; `count` itself if none does."""
    return min((size for size in sizes if count <= size), default=count)


# How many items each call of a group holds; together `count`.


def _full_calls(count: int, full: int) -> list[int]:
    return [full] * (count // full) + [count % full] * (count % full > 0)


def _few_sizes(count: int, full: int) -> list[int]:
    size = 4 ** ((full.bit_length() - 1) // 2)
    calls = []
    while size:
        calls += [size] * (count // size)
        count, size = count % size, size // 4
    return calls


def _filled_calls(parts: Parts, count: int, full: int) -> list[int]:
    calls, sizes = [full] * (count // full), call_sizes(full, parts)
    count %= full
    while count:
        # One call more costs its launches: about as much as a quarter of a full call.
        may_be_filled = filled_size(count, sizes) - count <= full // 4
        calls.append(count if may_be_filled else max(size for size in sizes if size <= count))
        count -= calls[-1]
    return calls


def in_batches(pixels: Sequence[int], budget: int) -> list[slice]:
    """Neighbours in batches that hold at most `budget` pixels; one above it goes alone."""
    cuts, held = [0], 0
    for number, count in enumerate(pixels):
        if held and held + count > budget:
            cuts.append(number)
            held = 0
        held += count
    return [slice(*ends) for ends in pairwise([*cuts, len(pixels)])] if pixels else []
