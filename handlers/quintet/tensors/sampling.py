"""Bilinear sampling of a ragged batch of pages: the one way in which any network gets its pixels.

Pages of all sizes lie end to end in one tensor, so that a stage describes what it wants to see as one homography an
item and gets it for the whole batch at once. The page is read once, at full resolution: turning, scaling, cropping and
rectifying are composed before the first pixel is touched.

A CPU runs the tensor code of this file, and `resizing` where items are whole pages. CUDA runs one operator,
`quintet::sample`, which is one launch of the kernel in `sampling_kernel`; where that cannot be compiled, it is the same
tensor code.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from quintet.tensors.records import Looks, Raster
from quintet.tensors.resizing import resized, turns_of_whole_pages

logger = logging.getLogger(__name__)


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
    items: Tensor | None = None,
    widths_px: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Look at pages through homographies: (N, 3, H, W) in BGR, on CUDA channels last.

    Points outside a page take the colour of its border. No antialiasing: the models were measured without it.

    Args:
        pages: values (S,) int32, pixels packed as R + 256 G + 65536 B.
        page: (M,) int64, which page each item looks at.
        to_image: (M, 3, 3) float32, item frame to image frame.
        size_px: width and height of every item.
        normalisation: what the network expects.
        items: (N,) int64, which items; all, if None. So a stage describes the items of all its calls at once.
        widths_px: (M,) int64, width of what is filled; the rest is zero after normalisation. All, if None.
        dtype: of the result.
    """
    width, height = size_px
    looks = Looks(page, to_image, items, widths_px)
    if to_image.device.type == "cpu":
        looks = looks.chosen()
        sampled = to_image.new_empty((len(looks.page), 3, height, width), dtype=dtype)
        if (turns := turns_of_whole_pages(pages, looks, size_px)) is None:
            _fill(sampled, pages, looks, normalisation)
        else:
            _resize(sampled, pages, looks.page, turns, normalisation)
        return sampled
    raster = [pages.values, pages.offsets, pages.heights, pages.widths]
    numbers = [*normalisation.mean, *normalisation.std]
    on_device: Tensor = torch.ops.quintet.sample(raster, *looks, size_px, numbers, dtype)
    return on_device


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


def _fill(sampled: Tensor, pages: Raster, looks: Looks, normalisation: Normalisation) -> None:
    """Fill (N, 3, H, W), tensor by tensor."""
    page, to_image, _, widths_px = looks.chosen()
    *_, height, width = sampled.shape
    for rows in strips(len(page) * width, height, to_image.device):
        x, y = _image_points(to_image, width, rows)
        _bilinear(pages, page, x, y, normalisation, sampled[:, :, rows])
    if widths_px is not None:
        filled = torch.arange(width, device=widths_px.device) < widths_px[:, None, None, None]
        sampled.mul_(filled.to(sampled.dtype))


def _resize(
    sampled: Tensor, pages: Raster, page: Tensor, quarter_turns: list[int], normalisation: Normalisation
) -> None:
    """Fill (N, 3, H, W) with whole pages, one after the other: on a CPU a call has one."""
    *_, height, width = sampled.shape
    for out, number, turns in zip(sampled, page.tolist(), quarter_turns, strict=True):
        pixels = resized(pages, number, turns, (width, height))
        for plane, byte, mean, std in zip(out, (2, 1, 0), *normalisation, strict=True):
            torch.add(-mean / std, pixels[..., byte].to(plane.dtype), alpha=1 / (255 * std), out=plane)


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
    width, height, start = (t[page][:, None, None] for t in (pages.widths, pages.heights, pages.offsets))
    # What is beyond the border is on it. There the neighbour counts nothing, whatever pixel that is.
    x, y = (at.sub_(0.5).clamp_(min=0).clamp_(max=size - 1) for at, size in ((x, width), (y, height)))
    left, top = x.floor(), y.floor()
    along, down = x.sub_(left).to(dtype), y.sub_(top).to(dtype)
    width = width.to(torch.int32)
    upper = top.to(torch.int32).mul_(width).add_(start.to(torch.int32)).add_(left.to(torch.int32))
    last = len(pages.values) - 1
    # The bytes of each word are its channels: read as bytes they cost half of what shifting and masking costs.
    packed = [
        pages.values.index_select(0, place.clamp_(0, last).view(-1)).view(torch.uint8).view(*x.shape, 4)
        for place in (upper, upper + 1, upper + width, upper + (width + 1))
    ]
    for channel, (byte, mean, std) in enumerate(zip((2, 1, 0), *normalisation, strict=True)):
        corners = [corner[..., byte].to(dtype) for corner in packed]
        upper, lower = corners[0].lerp_(corners[1], along), corners[2].lerp_(corners[3], along)
        torch.add(-mean / std, upper.lerp_(lower, down), alpha=1 / (255 * std), out=blended[:, channel])


_Fill = Callable[[Tensor, Raster, Looks, Normalisation], None]


@cache
def _fill_on_cuda(device: torch.device) -> _Fill:
    """The kernel, if it can be compiled here and fills what tensor code fills; else that. Waits for the device."""
    try:
        from quintet.tensors.sampling_kernel import fill

        _compare(fill, device)
    except Exception as error:  # noqa: BLE001 - Triton, its driver, a C compiler and a cache of files: all may fail
        logger.warning("sampling has no kernel here and takes a hundred launches a call instead of one: %r", error)
        return _fill_rounded_once
    return fill


def _fill_rounded_once(sampled: Tensor, pages: Raster, looks: Looks, normalisation: Normalisation) -> None:
    """Tensor by tensor, but in float32 whatever the result, as the kernel is: machines without it read alike."""
    blended = torch.empty_like(sampled, dtype=torch.float32)
    _fill(blended, pages, looks, normalisation)
    sampled.copy_(blended)


def _compare(fill: _Fill, device: torch.device) -> None:
    """Fill two crops of two small images both ways.

    Raises:
        RuntimeError: if they differ.
    """
    words = torch.arange(23, dtype=torch.int32, device=device) * 723_719
    offsets, heights, widths = torch.tensor([[0, 15], [3, 4], [5, 2]], device=device)
    page, filled = torch.tensor([[1, 0], [40, 7]], device=device)
    to_image = torch.tensor([[0.2, 0.02, -1], [-0.01, 0.3, -0.5], [0.001, 0.02, 1]], device=device).expand(2, 3, 3)
    ours, theirs = (torch.empty((2, 3, 17, 40), device=device, memory_format=torch.channels_last) for _ in range(2))
    for way, out in ((fill, ours), (_fill, theirs)):
        way(out, Raster(words, offsets, heights, widths), Looks(page, to_image, page, filled), HALF)
    if not torch.allclose(ours, theirs, rtol=0, atol=1e-4):
        raise RuntimeError(f"the kernel's pixels differ by {float((ours - theirs).abs().amax())}")


def _operator(choose: Callable[[torch.device], _Fill]) -> Callable[..., Tensor]:
    """`quintet::sample`, its result filled in the way that is chosen by the device."""

    def sampled(  # noqa: PLR0917 - an operator's arguments come by position
        raster: list[Tensor],
        page: Tensor,
        to_image: Tensor,
        items: Tensor | None,
        widths_px: Tensor | None,
        size_px: list[int],
        numbers: list[float],
        dtype: torch.dtype,
    ) -> Tensor:
        looks, (width, height), (b, g, r, *stds) = Looks(page, to_image, items, widths_px), size_px, numbers
        shape, device = (looks.item_count, 3, height, width), to_image.device
        out = torch.empty(shape, dtype=dtype, device=device, memory_format=torch.channels_last)
        choose(device)(out, Raster(*raster), looks, Normalisation((b, g, r), (stds[0], stds[1], stds[2])))
        return out

    return sampled


# An operator, so that whoever looks at PyTorch's dispatcher sees one call: `make gpu-budget`, fake tensors, profilers.
_LIBRARY = torch.library.Library("quintet", "FRAGMENT")
_LIBRARY.define(
    "sample(Tensor[] raster, Tensor page, Tensor to_image, Tensor? items, Tensor? widths_px, int[] size_px,"
    " float[] normalisation, ScalarType dtype) -> Tensor"
)
_LIBRARY.impl("sample", _operator(_fill_on_cuda), "CUDA")
_LIBRARY.impl("sample", _operator(lambda _: _fill_rounded_once), "CPU")
_LIBRARY.impl("sample", _operator(lambda _: lambda *_: None), "Meta")
