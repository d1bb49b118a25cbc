"""Means over whole rectangles of a ragged batch of images: shrinking without aliasing, whatever the factor.

Sums of all pixels above and left of each pixel make the sum of any rectangle four look-ups (F. Crow, Summed-Area Tables
for Texture Mapping, 1984). So each level of a pyramid and each crop is made from the image itself, at the same cost.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from quintet.tensors.records import Raster
from quintet.tensors.sampling import Normalisation, strips


def area_sums(pages: Raster, sizes_px: Tensor, to_device: Callable[[Tensor], Tensor]) -> Raster:
    """Sums over the pixels above and left of each corner of a pixel: values (S, 3) int32 in RGB order.

    An item has one row and one column more than its image. Sums wrap around; a difference of two is right as long as
    it is below 2^31, which 8 million pixels cannot exceed. No host sync.

    Args:
        pages: values (S,) int32, pixels packed as R + 256 G + 65536 B.
        sizes_px: (P, 2) int64 on the host, widths and heights.
        to_device: how a tensor of the host gets to the device.
    """
    # Images of similar widths lie below one another as one, so that two running sums do for all of them.
    padded = in_eighths(sizes_px[:, 0])
    blocks, order = [], []
    for width in padded.unique().tolist():
        group = (padded == width).nonzero().squeeze(1)
        blocks.append(_block(pages, group, sizes_px[group, 1], width, to_device).view(-1, 3))
        order.append(group)
    together = torch.cat(order) if order else sizes_px.new_empty(0)
    sizes = torch.stack([padded, sizes_px[:, 1]], dim=1)[together] + 1
    laid = Raster.end_to_end(torch.cat(blocks) if blocks else pages.values.new_empty(0, 3), sizes, to_device)
    place = to_device(together.argsort())
    return Raster(laid.values, laid.offsets[place], laid.heights[place], laid.widths[place])


def area_means(
    sums: Raster,
    page: Tensor,
    boxes_px: Tensor,
    size_px: tuple[int, int],
    normalisation: Normalisation,
    *,
    sizes_px: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Boxes scaled to a common size, each pixel the mean of what it covers: (N, 3, H, W) in BGR. No host sync.

    The same as ``torch.nn.functional.interpolate(mode="area")`` of each box, which covers whole pixels.

    Args:
        sums: from `area_sums`.
        page: (N,) int64, which image each item looks at.
        boxes_px: (N, 4) int64, x0, y0, x1, y1 in the image, at least one pixel wide and high.
        size_px: width and height of every item.
        normalisation: what the network expects.
        sizes_px: (N, 2) int64, width and height of what is filled; the rest is zero after normalisation. All, if None.
        dtype: of the result.
    """
    width, height = size_px
    if sizes_px is None:
        sizes_px = torch.stack([torch.full_like(page, side) for side in size_px], dim=1)
    left, right = _cells(boxes_px[:, 0], boxes_px[:, 2], sizes_px[:, 0], width)
    top, bottom = _cells(boxes_px[:, 1], boxes_px[:, 3], sizes_px[:, 1], height)
    pitch, begin = sums.widths[page, None], sums.offsets[page, None]
    means = torch.empty((len(page), 3, height, width), dtype=dtype, device=page.device)
    for rows in strips(len(page) * width, height, page.device):
        above, below = (begin + edge[:, rows] * pitch for edge in (top, bottom))
        summed = _rectangles(sums.values, above, below, left, right)
        pixels = (bottom - top)[:, rows, None] * (right - left)[:, None]
        for channel, (byte, mean, std) in enumerate(zip((2, 1, 0), *normalisation, strict=True)):
            means[:, channel, rows] = (summed[..., byte] / pixels).sub_(255 * mean).div_(255 * std)
    across, down = (torch.arange(side, device=page.device) for side in size_px)
    filled = (across < sizes_px[:, 0, None])[:, None] & (down < sizes_px[:, 1, None])[:, :, None]
    return means.mul_(filled[:, None])


def in_eighths(lengths: Tensor, least_step: int = 1) -> Tensor:
    """(N,) lengths rounded up to an eighth of the power of two below them: few different ones, at most 12.5 % more."""
    step = torch.exp2(lengths.double().log2().floor() - 3).long().clamp(min=least_step)
    return (lengths + step - 1) // step * step


def _block(pages: Raster, group: Tensor, heights: Tensor, width: int, to_device: Callable[[Tensor], Tensor]) -> Tensor:
    """Sums of some images below one another, a row of zeros before each: (rows, width + 1, 3) int32.

    The sums go on from image to image, which differences within one do not notice.
    """
    rows = heights + 1
    begins = (rows.cumsum(0) - rows).repeat_interleave(rows)
    row = to_device(torch.arange(len(begins)) - begins - 1)  # -1 for the row of zeros
    page = to_device(group.repeat_interleave(rows))
    widths = pages.widths[page, None]
    column = torch.arange(width, device=page.device)
    index = pages.offsets[page, None] + row.clamp(min=0)[:, None] * widths + torch.minimum(column, widths - 1)
    words = pages.values.index_select(0, index.view(-1))
    sums = words.new_zeros(len(page), width + 1, 3)
    torch.mul(words.view(torch.uint8).view(*index.shape, 4)[..., :3], (row >= 0)[:, None, None], out=sums[:, 1:])
    return sums.cumsum_(1).cumsum_(0)


def _cells(low: Tensor, high: Tensor, count: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Where each of (N,) counts of cells begins and ends between low and high, in whole pixels: (N, most) twice.

    Cells share a pixel where their border cuts it. Those behind the last are like the last.
    """
    cell = torch.arange(most, device=low.device).minimum(count[:, None] - 1)
    length, count = (high - low)[:, None], count[:, None]
    return low[:, None] + cell * length // count, low[:, None] + ((cell + 1) * length + count - 1) // count


def _rectangles(values: Tensor, above: Tensor, below: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Sums of rectangles between (N, H) rows and (N, W) columns, rows as places of their beginning: (N, H, W, 3)."""
    corners = (
        values.index_select(0, (row[:, :, None] + column[:, None]).view(-1))
        for row, column in ((below, right), (below, left), (above, right), (above, left))
    )
    sums = next(corners).sub_(next(corners)).sub_(next(corners)).add_(next(corners))
    return sums.view(len(above), above.shape[1], left.shape[1], 3)
