"""Rows, and which region a line belongs to, of all pages at once. Columns are told apart on the host: see `columns`."""

import torch
from torch import Tensor

from quintet.tensors.geometry import bounding_boxes

# About 11 degrees: pages lie askew by less, and text that is steeper than that is set so.
_MOST_SKEW = 0.2


def level(quads_px: Tensor, page: Tensor, page_count: int) -> Tensor:
    """Boxes of (L, 4, 2) lines in the upright frame as they would lie if their page, (L,), were straight: (L, 4).

    A page's skew is the mean slope of its lines, longer ones counting more: over 1,000 pixels one degree is most of a
    line's height, and rows would run into one another. A box, x0, y0, x1, y1, is the line's own where that runs with
    the page's lines, else it lies around its corners.
    """
    along, down = quads_px[:, 1] - quads_px[:, 0], quads_px[:, 3] - quads_px[:, 0]
    steady = (along[:, 0] > 0) & (along[:, 1].abs() < _MOST_SKEW * along[:, 0])
    # In whole sixteenths of square pixels: a GPU adds up in any order, and rows must not depend on it.
    weighted = (along * (along[:, :1] * (16 * steady[:, None]))).long()
    run = page.new_zeros(page_count, 2).index_add_(0, page, weighted)
    run[:, 0].clamp_(min=1)  # a page without steady lines is straight
    cos, sin = torch.nn.functional.normalize(run.to(quads_px.dtype), dim=1).T
    turned = torch.stack([torch.stack([cos, sin], dim=1), torch.stack([-sin, cos], dim=1)], dim=1)[page]
    corners = quads_px @ turned.transpose(1, 2)
    half = torch.stack([along.norm(dim=1), down.norm(dim=1)], dim=1) / 2
    centres = corners.mean(dim=1)
    return torch.where(steady[:, None], torch.cat([centres - half, centres + half], dim=1), bounding_boxes(corners))


def in_rows(boxes_px: Tensor, page: Tensor) -> Tensor:
    """Items, (N, 4) boxes on (N,) pages, page by page in rows from top to bottom, each from left to right: (N,) int64.

    Going down a page, a new row begins where the centre lies more than half the smaller height under the one before.
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
    """The smallest of (R, 4) regions of the same page around each of (N, 2) points: (N,) int64, -1 for none."""
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
