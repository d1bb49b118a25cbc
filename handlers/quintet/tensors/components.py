"""Connected components of a batch of text masks, in tensors: threshold, dilation, runs and their labels.

Nodes are horizontal runs, not pixels: a receipt has about a hundred times fewer of them. All maps of a batch are
treated at once, whatever their sizes, and there is no Python loop over maps, rows, runs or components.

Shapes: S pixels of all maps, P maps, R rows of all maps, N runs, K components (legend in `records`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from quintet.tensors.records import Raster

# Receipts need at most 5 rounds and adversarial masks 10, so one check in 8 rounds is one sync in practice.
ROUNDS_PER_CHECK = 8


@dataclass(frozen=True)
class Runs:
    """Horizontal runs of true pixels, in the order in which they lie in the flat tensor, and their components."""

    start: Tensor  # (N,) int64, first column of the run in its map
    stop: Tensor  # (N,) int64, last column of the run, inclusive
    row: Tensor  # (N,) int64, row in its map
    page: Tensor  # (N,) int64, index of the map
    component: Tensor  # (N,) int64, 0 … K-1 in raster order of each component's first run
    component_page: Tensor  # (K,) int64, index of each component's map


@dataclass(frozen=True)
class _Rows:
    """Rows of all maps in flat order, all (R,) int64: first pixel in the flat tensor, width, row in map, map."""

    begin: Tensor
    width: Tensor
    row: Tensor
    page: Tensor

    @property
    def end(self) -> Tensor:
        """(R,) int64, the last pixel of each row in the flat tensor, inclusive."""
        return self.begin + self.width - 1

    def beside(self, row: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The rows one step away from some, and whether they are there, in the same map: (N,) int64 and bool."""
        other = (row + step).clamp(0, max(len(self.begin) - 1, 0))
        return other, (other != row) & (self.page[other] == self.page[row])


def threshold_and_dilate(probabilities: Raster, threshold: float) -> Raster:
    """Mark pixels whose probability exceeds the threshold, and those right of, below, and below right of them.

    The same as ``cv2.dilate(map > threshold, ones((2, 2)))``, which RapidOCR's DBPostProcess applies: each pixel is an
    OR with its left, upper and upper left neighbours. Nothing crosses the border of a row or of a map. From P maps of
    (S,) floats, which cover all S elements together, to (S,) bool. Three host syncs: rows (1), run ends (2).
    """
    rows = _rows_of(probabilities)
    mask = probabilities.values > threshold
    begin, end, row = _run_ends(mask, rows)
    behind = torch.minimum(end + 1, rows.end[row]) + 1  # the first pixel that a run does not mark in its row
    stays = rows.beside(row, 1)[1].to(torch.int8)
    down, one = rows.width[row] * stays, torch.ones_like(stays)
    # Painted from run ends with a running sum: an index for every pixel takes 20 times as long on CPU.
    change = torch.zeros(mask.shape[0] + 1, dtype=torch.int8, device=mask.device)
    change.index_add_(0, begin, one).index_add_(0, behind, -one)
    change.index_add_(0, begin + down, stays).index_add_(0, behind + down, -stays)
    values = change.cumsum(0, dtype=torch.int8)[:-1].bool()
    return Raster(values, probabilities.offsets, probabilities.heights, probabilities.widths)


def label_runs(mask: Raster) -> Runs:
    """Find the horizontal runs of P masks, values (S,) bool, and the 8-connected component of each.

    The partition is that of ``cv2.connectedComponents(connectivity=8)``. Only outer components are found: RapidOCR's
    ``cv2.findContours(RETR_LIST)`` also returns the contours of holes; the tensor ports of DB leave them out.

    Host syncs, whatever the number of maps and components: rows (1), run ends (2), one convergence check in eight
    rounds (1; 2 on adversarial masks), components (1).
    """
    rows = _rows_of(mask)
    begin, end, row = _run_ends(mask.values, rows)
    above = _first_touching(begin, end, row, rows, step=-1)
    below = _first_touching(begin, end, row, rows, step=1)
    root = _roots(above, below)
    is_root = root == torch.arange(root.shape[0], device=root.device)
    page = rows.page[row]
    return Runs(
        start=begin - rows.begin[row],
        stop=end - rows.begin[row],
        row=rows.row[row],
        page=page,
        component=(is_root.cumsum(0) - 1)[root],
        component_page=page[is_root.nonzero().squeeze(1)],
    )


def _rows_of(raster: Raster) -> _Rows:
    """Tabulate the rows of all maps in flat order, which need not be the order of the maps."""
    order = raster.offsets.argsort()
    heights = raster.heights[order]
    count = int(heights.sum())
    slot = torch.repeat_interleave(heights, output_size=count)
    row = torch.arange(count, device=slot.device) - (heights.cumsum(0) - heights)[slot]
    page = order[slot]
    width = raster.widths[page]
    return _Rows(raster.offsets[page] + row * width, width, row, page)


def _run_ends(mask: Tensor, rows: _Rows) -> tuple[Tensor, Tensor, Tensor]:
    """Find the first and the last pixel of each run in a (S,) bool mask, and its row in ``rows``: (N,) int64 each."""
    begins, ends = torch.empty_like(mask), torch.empty_like(mask)
    torch.gt(mask[1:], mask[:-1], out=begins[1:])
    torch.gt(mask[:-1], mask[1:], out=ends[:-1])
    begins.index_copy_(0, rows.begin, mask[rows.begin])
    ends.index_copy_(0, rows.end, mask[rows.end])
    begin, end = begins.nonzero().squeeze(1), ends.nonzero().squeeze(1)
    return begin, end, torch.searchsorted(rows.begin, begin, right=True) - 1


def _first_touching(begin: Tensor, end: Tensor, row: Tensor, rows: _Rows, *, step: int) -> Tensor:
    """Give each run the first run that it touches, corners included, in the row one step away: (N,) int64.

    A run that touches none gets its own index. ``begin`` and ``end`` are flat positions and ``row`` indexes ``rows``.
    """
    other, exists = rows.beside(row, step)
    shift = rows.begin[other] - rows.begin[row]
    lowest = torch.maximum(begin + shift - 1, rows.begin[other])
    highest = torch.minimum(end + shift + 1, rows.end[other])
    found = torch.searchsorted(end, lowest).clamp(max=end.shape[0] - 1)
    touches = exists & (end[found] >= lowest) & (begin[found] <= highest)
    return torch.where(touches, found, torch.arange(begin.shape[0], device=begin.device))


def _roots(above: Tensor, below: Tensor) -> Tensor:
    """Label each run with the first run of its component: (N,) int64.

    Of two runs that touch, the lower is the upper one's first below, or the upper is the lower one's first above: were
    both preceded by others, those would overlap them. So two links a run carry the whole graph. The links upwards are
    the first forest; the links downwards hook its trees together, the larger root under the smaller, while pointer
    jumping flattens them (Shiloach and Vishkin, 1982).
    """
    label = above
    while True:
        for _ in range(ROUNDS_PER_CHECK):
            label = _hook_and_jump(label, below)
        if bool(((label == label[label]) & (label == label[below])).all()):
            return label


def _hook_and_jump(label: Tensor, below: Tensor) -> Tensor:
    """Hang each root under the smallest label that one of its runs touches, then shorten all paths fourfold."""
    other = label[below]
    low, high = torch.minimum(label, other), torch.maximum(label, other)
    # Only roots may move: a label that already hangs somewhere would lose that link.
    target = torch.where(label[high] == high, low, high)
    label = label.scatter_reduce(0, high, target, "amin")
    label = label[label]
    return label[label]
