"""Means over whole rectangles of a ragged batch of images: shrinking without aliasing, whatever the factor.

Sums of all pixels above and left of each pixel make the sum of any rectangle four look-ups (F. Crow, Summed-Area Tables
for Texture Mapping, 1984). So each level of a pyramid and each crop is made from the image itself, at the same cost.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from quintet.tensors.records import Raster
from quintet.tensors.sampling import Normalisation, in_eighths, strips


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
    widths = in_eighths(sizes_px[:, 0])
    order = widths.argsort(stable=True)
    laid = torch.stack([widths, sizes_px[:, 1]], dim=1)[order] + 1
    values = pages.values.new_zeros(int(laid.prod(dim=1).sum()), 3)
    sums = Raster.end_to_end(values, laid, to_device)
    begin = 0
    for width, count in zip(*(t.tolist() for t in widths.unique(return_counts=True)), strict=True):
        group, order = order.split([count, len(order) - count])
        rows = int((sizes_px[group, 1] + 1).sum())
        block = values[begin : begin + rows * (width + 1)].view(rows, width + 1, 3)
        _fill(block[:, 1:], pages, group, sizes_px[group, 1], to_device)
        block.cumsum_(1).cumsum_(0)
        begin += rows * (width + 1)
    place = to_device(widths.argsort(stable=True).argsort())
    return Raster(values, sums.offsets[place], sums.heights[place], sums.widths[place])


def area_means(
    sums: Raster,
    page: Tensor,
    boxes_px: Tensor,
    size_px: tuple[int, int],
    normalisation: Normalisation,
    *,
    sizes_px: Tensor | None = None,
    begins_px: Tensor | None = None,
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
        sizes_px: (N, 2) int64, width and height that boxes are scaled to; those of the items, if None. What an item has
            beyond is zero after normalisation.
        begins_px: (N, 2) int64, where in its scaled box an item begins; at its corner, if None.
        dtype: of the result.
    """
    width, height = size_px
    if sizes_px is None:
        sizes_px = torch.stack([torch.full_like(page, side) for side in size_px], dim=1)
    if begins_px is None:
        begins_px = torch.zeros_like(sizes_px)
    across, down = (
        begins_px[:, axis, None] + torch.arange(side, device=page.device) for axis, side in enumerate(size_px)
    )
    left, right = _cells(boxes_px[:, 0::2], sizes_px[:, 0, None], across)
    top, bottom = _cells(boxes_px[:, 1::2], sizes_px[:, 1, None], down)
    pitch, begin = sums.widths[page, None], sums.offsets[page, None]
    means = torch.empty((len(page), 3, height, width), dtype=dtype, device=page.device)
    for rows in strips(len(page) * width, height, page.device):
        above, below = (begin + edge[:, rows] * pitch for edge in (top, bottom))
        summed = _rectangles(sums.values, above, below, left, right)
        pixels = (bottom - top)[:, rows, None] * (right - left)[:, None]
        for channel, (byte, mean, std) in enumerate(zip((2, 1, 0), *normalisation, strict=True)):
            means[:, channel, rows] = (summed[..., byte] / pixels).sub_(255 * mean).div_(255 * std)
    filled = (across < sizes_px[:, 0, None])[:, None] & (down < sizes_px[:, 1, None])[:, :, None]
    return means.mul_(filled[:, None])


def _fill(block: Tensor, pages: Raster, group: Tensor, heights: Tensor, to_device: Callable[[Tensor], Tensor]) -> None:
    """The channels of some images below one another, a row of zeros before each, into (rows, width, 3) int32 zeros.

    Sums then go on from image to image, which differences within one do not notice.
    """
    rows = heights + 1
    row = to_device(torch.arange(int(rows.sum())) - (rows.cumsum(0) - rows).repeat_interleave(rows) - 1)
    page = to_device(group.repeat_interleave(rows))
    starts = (pages.offsets[page] + row.clamp(min=0) * pages.widths[page]).to(torch.int32)[:, None]
    last = (pages.widths[page] - 1).to(torch.int32)[:, None]
    column = torch.arange(block.shape[1], dtype=torch.int32, device=page.device)
    for some in strips(block.shape[1], len(block), page.device):
        index = starts[some] + torch.minimum(column, last[some])
        words = pages.values.index_select(0, index.view(-1)).view(torch.uint8).view(*index.shape, 4)
        torch.mul(words[..., :3], (row[some] >= 0)[:, None, None], out=block[some])


def _cells(ends: Tensor, count: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Where some of (N, 1) counts of cells begin and end between (N, 2) ends, in whole pixels: (N, M) to (N, M) twice.

    Cells share a pixel where their border cuts it. Those behind the last are like the last.
    """
    low, length = ends[:, :1], ends[:, 1:] - ends[:, :1]
    cell = torch.minimum(cell, count - 1)
    return low + cell * length // count, low + ((cell + 1) * length + count - 1) // count


def _rectangles(values: Tensor, above: Tensor, below: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Sums of rectangles between (N, H) rows and (N, W) columns, rows as places of their beginning: (N, H, W, 3)."""
    corners = (
        values.index_select(0, (row[:, :, None] + column[:, None]).view(-1))
        for row, column in ((below, right), (below, left), (above, right), (above, left))
    )
    sums = next(corners).sub_(next(corners)).sub_(next(corners)).add_(next(corners))
    return sums.view(len(above), above.shape[1], left.shape[1], 3)
