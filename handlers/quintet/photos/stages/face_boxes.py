"""Boxes as MTCNN counts them: pixel numbers from 1, of the first and the last pixel inside. Source: the authors' code.

MTCNN came from MATLAB, and its networks have learnt these numbers. `to_image_frame` turns them into ours.
"""

import torch
from torch import Tensor

from quintet.engine.engine import Engine
from quintet.engine.networks import Network
from quintet.photos.records import Candidates, Photos
from quintet.tensors.areas import area_means
from quintet.tensors.sampling import Normalisation

# (value - 127.5) / 128, which is how the three networks were trained.
SIGNED = Normalisation((0.5, 0.5, 0.5), (128 / 255, 128 / 255, 128 / 255))


def moved(boxes: Tensor, offsets: Tensor, *, extra_px: int) -> Tensor:
    """Boxes whose sides are moved by offsets in sizes of the box, (C, 4) twice to (C, 4).

    The size is last minus first pixel, plus `extra_px`: P-Net learnt without the 1 that the others learnt with.
    """
    sizes = boxes[:, 2:] - boxes[:, :2] + extra_px
    return boxes + offsets * sizes.repeat(1, 2)


def squared(boxes: Tensor) -> Tensor:
    """Squares with the same centres and the longer side, (C, 4) to (C, 4)."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    side = sizes.amax(dim=1, keepdim=True)
    corner = boxes[:, :2] + (sizes - side) / 2
    return torch.cat([corner, corner + side], dim=1)


def inside(boxes: Tensor, sizes_px: Tensor) -> Tensor:
    """The whole pixels of boxes that lie in their images of (C, 2) sizes: (C, 4) int64 x0, y0, x1, y1, never empty."""
    whole = boxes.trunc().long()
    low = torch.minimum(whole[:, :2].clamp(min=1), sizes_px) - 1
    return torch.cat([low, torch.maximum(torch.minimum(whole[:, 2:], sizes_px), low + 1)], dim=1)


def to_image_frame(boxes: Tensor) -> Tensor:
    """From MTCNN's numbers to pixels of the image frame: (C, 4) to (C, 4)."""
    return torch.cat([boxes[:, :2] - 1, boxes[:, 2:]], dim=1)


def look_at_crops(
    engine: Engine, network: Network, photos: Photos, candidates: Candidates, side_px: int, crops_a_call: int
) -> list[Tensor]:
    """The outputs of a network, float32, for a crop of each candidate, (C, 3, side, side)."""
    windows = inside(candidates.boxes, engine.to_device(photos.sizes_px)[candidates.page])

    def look(call: Tensor) -> tuple[Tensor, ...]:
        size_px = (side_px, side_px)
        return network(
            area_means(photos.sums, candidates.page[call], windows[call], size_px, SIGNED, dtype=engine.dtype)
        )

    ones = torch.ones(len(windows), 1, dtype=torch.int64)
    # Of no crops the network says what no outputs look like.
    calls = engine.plan(ones, crops_a_call) or [torch.arange(0)]
    return [
        torch.cat(outputs).float() for outputs in zip(*engine.each(look, engine.calls_to_device(calls)), strict=True)
    ]
