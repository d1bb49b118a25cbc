"""Whole pages at another size on a CPU: PyTorch's own kernel for bytes, ten times as fast as looking at each point.

It computes what `sampling` does, but rounds to whole levels, once for each direction: up to one of 255 beside it.
"""

import torch
from torch import Tensor

from quintet.tensors import geometry
from quintet.tensors.records import Looks, Raster

# How far the corners of a canvas may lie from those of the page: float32 has a thousandth of a pixel at 16,000 of them.
_NEAR_PX = 0.01


def turns_of_whole_pages(pages: Raster, looks: Looks, size_px: tuple[int, int]) -> list[int] | None:
    """The clockwise quarter turns by which items undo, if each shows a whole page and nothing else; None if not."""
    page, to_image, _, widths_px = looks.chosen()
    if widths_px is not None:
        return None
    corners = geometry.box_corners(torch.tensor([[0.0, 0.0, *size_px]]))
    shown = geometry.map_points(to_image, corners.expand(len(page), 4, 2))
    sides = torch.stack([pages.widths[page], pages.heights[page]], dim=1).float()
    whole = geometry.box_corners(torch.cat([torch.zeros_like(sides), sides], dim=1))
    near = torch.stack([(shown - whole.roll(-turn, dims=1)).abs().amax(dim=(1, 2)) < _NEAR_PX for turn in range(4)])
    return near.int().argmax(dim=0).tolist() if near.any(dim=0).all() else None


def resized(pages: Raster, page: int, quarter_turns: int, size_px: tuple[int, int]) -> Tensor:
    """A page turned back and stretched: (H, W, 4) uint8, the bytes of its words, bilinear without antialiasing."""
    width, height = size_px if quarter_turns % 2 == 0 else size_px[::-1]
    begin, page_height, page_width = (int(of[page]) for of in (pages.offsets, pages.heights, pages.widths))
    words = pages.values[begin : begin + page_height * page_width]
    planes = words.view(torch.uint8).view(1, page_height, page_width, 4).permute(0, 3, 1, 2)
    stretched = torch.nn.functional.interpolate(planes, (height, width), mode="bilinear")
    return stretched[0].permute(1, 2, 0).rot90(quarter_turns)
