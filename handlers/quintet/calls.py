"""How a batch is cut into calls of a network: equal sizes together, each call within a budget. Planned on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Budgets:
    """What one call of a network may hold; a single item above it goes alone.

    Attributes:
        pages: of layout.
        detection_pixels: canvas pixels of text detection.
        line_columns: crop columns of line orientation and of recognition.
    """

    pages: int
    detection_pixels: int
    line_columns: int

    def within(self, other: Budgets) -> Budgets:
        """The smaller of both, one by one."""
        return Budgets(
            min(self.pages, other.pages),
            min(self.detection_pixels, other.detection_pixels),
            min(self.line_columns, other.line_columns),
        )


def plan_calls(sizes_px: Tensor, budget_px: int) -> list[Tensor]:
    """Item numbers of each call.

    Args:
        sizes_px: (N, K) int64 on the host; what an item costs is the product of its row.
        budget_px: what a call may cost; an item above it goes alone.

    Returns:
        int64 tensors on the host; items of equal size in their order. Larger sizes come first, so that calls that run
        side by side end at about the same time.
    """
    if not len(sizes_px):
        return []
    kinds, kind = (-sizes_px).unique(dim=0, return_inverse=True)
    order = kind.argsort(stable=True)
    groups = order.split(kind.bincount(minlength=len(kinds)).tolist())
    costs = kinds.abs().prod(dim=1).tolist()
    return [call for group, cost in zip(groups, costs, strict=True) for call in group.split(max(1, budget_px // cost))]


def joined(parts: Sequence[Tensor], empty: Tensor) -> Tensor:
    """Parts end to end, or `empty` where there is none."""
    return torch.cat(list(parts)) if parts else empty
