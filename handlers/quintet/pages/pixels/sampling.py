"""Bilinear sampling of a ragged batch of pages: the one way in which any network gets its pixels.

Pages of all sizes lie end to end in one tensor, so that a stage describes what it wants to see as one homography an
item and gets it for the whole batch in a handful of gathers. The page is read once, at full resolution: turning,
scaling, cropping and rectifying are composed before the first pixel is touched.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from quintet.pages.records import Raster


@dataclass(frozen=True)
class Normalisation:
    """What a network expects of its pixels: channels in BGR order, ``value * scale + bias`` for value in 0 to 255."""

    scale: tuple[float, float, float]
    bias: tuple[float, float, float]

    @classmethod
    def of(cls, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Self:
        """From the mean and standard deviation of values in 0 to 1, in the order in which the network meets them."""
        scale = (1 / (255 * std[0]), 1 / (255 * std[1]), 1 / (255 * std[2]))
        return cls(scale, (-mean[0] / std[0], -mean[1] / std[1], -mean[2] / std[2]))


IMAGENET = Normalisation.of((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = Normalisation.of((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# Half a megabyte an intermediate result; see docs/performance.md.
_CPU_STRIP_POINTS = 1 << 17


def sample(
    pages: Raster,
    page: Tensor,
    to_image: Tensor,
    size_px: tuple[int, int],
    normalisation: Normalisation,
    *,
    content_px: Tensor | None = None,
    projective: bool = False,
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
        content_px: (N, 2) width and height of what is filled; the rest is zero after normalisation. All, if None.
        projective: whether the last rows of `to_image` differ from (0, 0, 1).
        dtype: of the result.
    """
    width, height = size_px
    sampled = to_image.new_empty((len(page), 3, height, width), dtype=dtype)
    for rows in _strips(len(page) * width, height, to_image.device):
        x, y = _image_points(to_image, width, rows, projective)
        _bilinear(pages, page, x, y, normalisation, sampled[:, :, rows])
    return sampled if content_px is None else sampled.mul_(_filled(content_px, size_px, dtype))


def _strips(row_points: int, height: int, device: torch.device) -> list[slice]:
    """Rows that are sampled together: all of them, on a CPU as many as its caches hold.

    Blending takes some fifty passes over its points. The one place that asks for the device outside the engine: this
    is how memory is walked, not what is computed.
    """
    rows = max(1, _CPU_STRIP_POINTS // max(1, row_points)) if device.type == "cpu" else max(1, height)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def _image_points(to_image: Tensor, width: int, rows: slice, projective: bool) -> tuple[Tensor, Tensor]:
    """Where the pixel centres of some rows of every item lie in the image: x and y, (N, rows, W) each."""
    u = torch.arange(width, device=to_image.device, dtype=to_image.dtype) + 0.5
    v = torch.arange(rows.start, rows.stop, device=to_image.device, dtype=to_image.dtype)[:, None] + 0.5
    cells = to_image[:, :, :, None, None]
    x = cells[:, 0, 0] * u + (cells[:, 0, 1] * v + cells[:, 0, 2])
    y = cells[:, 1, 0] * u + (cells[:, 1, 1] * v + cells[:, 1, 2])
    if not projective:
        return x, y
    depth = cells[:, 2, 0] * u + (cells[:, 2, 1] * v + cells[:, 2, 2])
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
    for channel, (byte, scale, bias) in enumerate(zip((2, 1, 0), normalisation.scale, normalisation.bias, strict=True)):
        corners = [corner[..., byte].to(dtype) for corner in packed]
        upper, lower = corners[0].lerp_(corners[1], along), corners[2].lerp_(corners[3], along)
        torch.add(bias, upper.lerp_(lower, down), alpha=scale, out=blended[:, channel])


def _filled(content_px: Tensor, size_px: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """One where an item has content, zero in its padding: (N, 1, H, W)."""
    width, height = size_px
    columns = torch.arange(width, device=content_px.device) < content_px[:, :1]
    rows = torch.arange(height, device=content_px.device) < content_px[:, 1:]
    return (rows[:, None, :, None] & columns[:, None, None, :]).to(dtype)
