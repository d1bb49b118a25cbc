"""Bilinear sampling of a ragged batch of pages: the one way in which any network gets its pixels.

Pages of all sizes lie end to end in one tensor, so that a stage describes what it wants to see as one homography an
item and gets it for the whole batch in a handful of gathers. The page is read once, at full resolution: turning,
scaling, cropping and rectifying are composed before the first pixel is touched.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from quintet.tensors.records import Raster


class Normalisation(NamedTuple):
    """Mean and standard deviation of values in 0 to 1 that a network was trained with, of its channels in BGR order."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# Half a megabyte an intermediate result; see docs/performance.md.
_CPU_STRIP_POINTS = 1 << 17


def sample(
    pages: Raster,
    page: Tensor,
    to_image: Tensor,
    size_px: tuple[int, int],
    normalisation: Normalisation,
    *,
    widths_px: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Look at pages through homographies: (N, 3, H, W) in BGR.

    Points outside a page take the colour of its border. No antialiasing: the models were measured without it.

    Args:
        pages: values (S,) int32, pixels packed as R + 256 G + 65536 B.
        page: (N,) int64, which page each item looks at.
        to_image: (N, 3, 3) float32, item frame to image frame.
        size_px: width and height of every item.
        normalisation: what the network expects.
        widths_px: (N,) width of what is filled; the rest is zero after normalisation. All, if None.
        dtype: of the result.
    """
    width, height = size_px
    sampled = to_image.new_empty((len(page), 3, height, width), dtype=dtype)
    for rows in strips(len(page) * width, height, to_image.device):
        x, y = _image_points(to_image, width, rows)
        _bilinear(pages, page, x, y, normalisation, sampled[:, :, rows])
    if widths_px is not None:
        filled = torch.arange(width, device=widths_px.device) < widths_px[:, None, None, None]
        sampled.mul_(filled.to(dtype))
    return sampled


def in_eighths(lengths: Tensor, least_step: int = 1) -> Tensor:
    """(N,) lengths rounded up to an eighth of the power of two below them: few different ones, at most 12.5 % more."""
    step = torch.exp2(lengths.double().log2().floor() - 3).long().clamp(min=least_step)
    return (lengths + step - 1) // step * step


def strips(row_points: int, height: int, device: torch.device) -> list[slice]:
    """Rows that are sampled together: all of them, on a CPU as many as its caches hold.

    Blending takes some fifty passes over its points. The one place that asks for the device outside the engine: this
    is how memory is walked, not what is computed.
    """
    rows = max(1, _CPU_STRIP_POINTS // max(1, row_points)) if device.type == "cpu" else max(1, height)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def _image_points(to_image: Tensor, width: int, rows: slice) -> tuple[Tensor, Tensor]:
    """Where the pixel centres of some rows of every item lie in the image: x and y, (N, rows, W) each."""
    u = torch.arange(width, device=to_image.device, dtype=to_image.dtype) + 0.5
    v = torch.arange(rows.start, rows.stop, device=to_image.device, dtype=to_image.dtype)[:, None] + 0.5
    cells = to_image[:, :, :, None, None]
    x, y, depth = (cells[:, row, 0] * u + (cells[:, row, 1] * v + cells[:, row, 2]) for row in range(3))
    return x / depth, y / depth


def _bilinear(pages: Raster, page: Tensor, x: Tensor, y: Tensor, normalisation: Normalisation, blended: Tensor) -> None:
    """Blend the four pixels around each point into `blended`: (N, H, W) twice to (N, 3, H, W)."""
    dtype = blended.dtype
    width, height, start = (
        t[page].to(torch.int32)[:, None, None] for t in (pages.widths, pages.heights, pages.offsets)
    )
    x, y = x.sub_(0.5), y.sub_(0.5)
    left, top = x.floor(), y.floor()
    along, down = x.sub_(left).to(dtype), y.sub_(top).to(dtype)
    left, top = left.to(torch.int32), top.to(torch.int32)
    zero = torch.zeros_like(width)
    columns = [left.clamp(zero, width - 1), (left + 1).clamp_(zero, width - 1)]
    rows = [
        top.clamp(zero, height - 1).mul_(width).add_(start),
        (top + 1).clamp_(zero, height - 1).mul_(width).add_(start),
    ]
    # The bytes of each word are its channels: read as bytes they cost half of what shifting and masking costs.
    packed = [
        pages.values.index_select(0, (row + column).view(-1)).view(torch.uint8).view(*x.shape, 4)
        for row in rows
        for column in columns
    ]
    for channel, (byte, mean, std) in enumerate(zip((2, 1, 0), *normalisation, strict=True)):
        corners = [corner[..., byte].to(dtype) for corner in packed]
        upper, lower = corners[0].lerp_(corners[1], along), corners[2].lerp_(corners[3], along)
        torch.add(-mean / std, upper.lerp_(lower, down), alpha=1 / (255 * std), out=blended[:, channel])
