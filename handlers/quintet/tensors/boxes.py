"""Boxes of all images at once: which of them to keep. A group is what boxes compete within: an image, a level of one.

Shapes: N boxes (x0, y0, x1, y1), float32, of which K are kept; G groups.
"""

import torch
import torchvision
from torch import Tensor

# Comparisons of pairs in one step: 16 MiB of float32.
_CHUNK_PAIRS = 2**22
# Chains of boxes that suppress one another are shorter than this in practice, so one check is one sync.
_ROUNDS_PER_CHECK = 8


def best_of_each(scores: Tensor, group: Tensor, most: int) -> Tensor:
    """The best boxes of each group, at most so many of each: (K,) int64, by group and score. One host sync."""
    order, rank = _ranked(scores, group)
    return order[(rank < most).nonzero().squeeze(1)]


def nms(boxes: Tensor, scores: Tensor, group: Tensor, threshold: float) -> Tensor:
    """Keep what overlaps no better box of its group by more than an IoU: (K,) int64, by score. One host sync."""
    # Shifting each group to its own place lets one NMS treat all of them; in float64 no coordinate is rounded by that.
    spans = boxes.amax() - boxes.amin() + 1 if len(boxes) else boxes.new_zeros(())
    shifted = boxes.double() + (group * spans.double())[:, None]
    kept: Tensor = torchvision.ops.nms(shifted, scores.double(), threshold)
    return kept


def drop_nested(boxes: Tensor, scores: Tensor, group: Tensor, threshold: float) -> Tensor:
    """Keep what shares no more than a part of the smaller of both with a better box of its group that is kept.

    The same as NMS but for the measure: intersection over the smaller area in place of the union. Greedy, as in NMS: a
    box that is dropped drops none. For few boxes a group, which are compared each with each. (K,) int64, by group and
    score. Three host syncs, more only for groups of thousands or for chains of more than eight boxes.
    """
    if not len(boxes):
        return group
    order, rank = _ranked(scores, group)
    rows = group[order].unique_consecutive(return_inverse=True)[1]
    groups, most = (torch.stack([rows.amax(), rank.amax()]) + 1).tolist()
    table = boxes.new_zeros(groups, most, 4)
    table[rows, rank] = boxes[order]
    chunk = max(1, _CHUNK_PAIRS // most**2)
    kept = torch.cat([_greedy(_nested(piece) > threshold) for piece in table.split(chunk)])
    return order[kept[rows, rank].nonzero().squeeze(1)]


def _ranked(scores: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes by group and falling score, (N,) int64, and the place of each of these in its group, (N,) int64."""
    order = scores.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    own = group[order]
    return order, torch.arange(len(own), device=own.device) - torch.searchsorted(own, own)


def _nested(boxes: Tensor) -> Tensor:
    """Share of the smaller of each two boxes that lies in the other, (G, M, 4) to (G, M, M); 0 for one without area."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(dim=2)
    smaller = torch.minimum(areas[:, :, None], areas[:, None])
    return (high - low).clamp(min=0).prod(dim=3) / smaller.clamp(min=1e-6)


def _greedy(suppresses: Tensor) -> Tensor:
    """Which boxes no kept better one suppresses, (G, M, M) bool by falling score to (G, M) bool.

    Each round settles at least the next box of every chain, and what is settled stays.
    """
    suppresses = suppresses.triu(1)
    kept = torch.ones_like(suppresses[:, 0])
    while True:
        for _ in range(_ROUNDS_PER_CHECK):
            before = kept
            kept = ~(suppresses & kept[:, :, None]).any(dim=1)
        if torch.equal(before, kept):
            return kept
