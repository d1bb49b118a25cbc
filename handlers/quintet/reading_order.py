"""Reading order and region membership of all pages at once."""

from __future__ import annotations

import torch
from torch import Tensor


def reading_order(boxes_px: Tensor, page: Tensor) -> Tensor:
    """Items page by page in rows from top to bottom, each row from left to right.

    Going down a page, a new row begins where the centre lies more than half the smaller height under the one before.

    Args:
        boxes_px: (N, 4) x0, y0, x1, y1 in the upright frame.
        page: (N,) int64.

    Returns:
        (N,) int64, item numbers in reading order.
    """
    centre_y, height = (boxes_px[:, 1] + boxes_px[:, 3]) / 2, boxes_px[:, 3] - boxes_px[:, 1]
    down = _sorted_by(centre_y, page)
    step = centre_y[down].diff()
    new_row = step > torch.minimum(height[down][1:], height[down][:-1]) / 2
    new_row |= page[down].diff() != 0
    row = torch.zeros_like(page)
    row[1:] = new_row.cumsum(0)
    return down[_sorted_by(boxes_px[down, 0], row)]


def assign_regions(points_px: Tensor, page: Tensor, boxes_px: Tensor, box_page: Tensor) -> Tensor:
    """The smallest region of the same page around each point.

    Args:
        points_px: (N, 2).
        page: (N,) int64.
        boxes_px: (R, 4) x0, y0, x1, y1.
        box_page: (R,) int64.

    Returns:
        (N,) int64, region numbers, -1 where there is none.
    """
    if not len(boxes_px):
        return torch.full_like(page, -1)
    after = (points_px[:, None] >= boxes_px[:, :2]).all(dim=2)
    before = (points_px[:, None] <= boxes_px[:, 2:]).all(dim=2)
    inside = after & before & (page[:, None] == box_page)
    areas = (boxes_px[:, 2:] - boxes_px[:, :2]).prod(dim=1)
    least, region = areas.where(inside, torch.inf).min(dim=1)
    return region.where(least.isfinite(), -1)


def _sorted_by(minor: Tensor, major: Tensor) -> Tensor:
    """Item numbers by `major`, then `minor`, ties in their order."""
    by_minor = minor.argsort(stable=True)
    return by_minor[major[by_minor].argsort(stable=True)]
