"""How a batch is cut into calls of a network: equal sizes together, each call within a budget. Planned on the host."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor


def plan_calls(sizes_px: Tensor, budget_px: int, *, few_sizes: bool = False) -> list[Tensor]:
    """Item numbers of each call, int64 on the host; items of equal size in their order.

    Larger sizes come first, so that calls that run side by side end at about the same time.

    Args:
        sizes_px: (N, K) int64 on the host; what an item costs is the product of its row.
        budget_px: what a call may cost; an item above it goes alone.
        few_sizes: calls hold 1, 4, 16 … items, as many as the budget allows: more calls of fewer shapes.
    """
    if not len(sizes_px):
        return []
    kinds, kind = (-sizes_px).unique(dim=0, return_inverse=True)
    order = kind.argsort(stable=True)
    groups = order.split(kind.bincount(minlength=len(kinds)).tolist())
    costs = kinds.abs().prod(dim=1).tolist()
    return [
        call
        for group, cost in zip(groups, costs, strict=True)
        for call in group.split(_call_sizes(len(group), full_call(cost, budget_px), few_sizes))
    ]


def _call_sizes(count: int, full: int, few_sizes: bool) -> list[int]:
    """How many items each call of a group holds; together `count`."""
    if not few_sizes:
        return [full] * (count // full) + [count % full] * (count % full > 0)
    size = 4 ** ((full.bit_length() - 1) // 2)
    calls = []
    while size:
        calls += [size] * (count // size)
        count, size = count % size, size // 4
    return calls


def full_call(cost: int, budget: int) -> int:
    """How many items of a cost a call holds: at least one."""
    return max(1, budget // cost)


def in_batches(pixels: Sequence[int], budget: int) -> list[slice]:
    """Neighbours in batches that hold at most `budget` pixels; one above it goes alone."""
    cuts, held = [0], 0
    for number, count in enumerate(pixels):
        if held and held + count > budget:
            cuts.append(number)
            held = 0
        held += count
    return [slice(*ends) for ends in pairwise([*cuts, len(pixels)])] if pixels else []
