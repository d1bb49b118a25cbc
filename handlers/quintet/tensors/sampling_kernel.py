"""`sample` on CUDA in one launch, written in Triton; the tensor code of `sampling` is the reference.

A program fills a tile of one item: it maps the pixel centres, reads the four words around each point, blends them in
float32 and writes three channels that lie beside one another, as networks on CUDA take them. No intermediate result
goes to memory, and nothing is read for what the mask leaves out.

Places in the batch's buffer and in the result are int64; within an image and within an item they are int32, which
batches of less than 2^31 pixels do not exceed. Only the tile is compiled in: no size, value or alignment is. For each
dtype of the result a process compiles at most four versions, with and without `items` and `widths_px`; a chain's
samples meet those that its stages need (two of pages) before its first real image.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from quintet.tensors.records import Looks, Raster

# Means and standard deviations of three channels in BGR order.
Normalised = tuple[tuple[float, float, float], tuple[float, float, float]]

# Rows and columns of a tile. Most canvases are multiples of 16 high and of 32 wide, so that few threads are idle.
# Square rather than a row: the words of a tile lie close together whichever way the image is turned, and points share
# them. 32 columns of three halves are 192 bytes, whole sectors of memory.
TILE_ROWS = tl.constexpr(16)
TILE_COLUMNS = tl.constexpr(32)
# Four points a thread: 16 loads are under way at once, and at most 48 registers (none spilled) let 10 such programs
# share a multiprocessor of 65,536.
WARPS = 4


def fill(sampled: Tensor, pages: Raster, looks: Looks, normalisation: Normalised) -> None:
    """Fill (N, 3, H, W), channels last and of any float dtype, in one launch. No host sync."""
    *_, height, width = sampled.shape
    across, down = -(-width // TILE_COLUMNS.value), -(-height // TILE_ROWS.value)
    if not sampled.numel():
        return
    flat = (pages.values, pages.offsets, pages.heights, pages.widths, looks.page, looks.items, looks.widths_px)
    scales = (1 / (255 * std) for std in normalisation[1])
    shifts = (-mean / std for mean, std in zip(*normalisation, strict=True))
    # PyTorch launches on the device of the tensors; Triton on the current one.
    with torch.cuda.device_of(sampled):
        _sample[looks.item_count * across * down,](
            sampled, *(None if tensor is None else tensor.contiguous() for tensor in flat),
            looks.to_image, *looks.to_image.stride(), width, height, across, down, *scales, *shifts,
            num_warps=WARPS,
            enable_fp_fusion=False,  # the same points as the tensor code's, to the last bit
        )  # fmt: skip


# Triton's types of the arguments, but for the result's; in order.
_TENSORS = {
    "values": "*i32", "offsets": "*i64", "heights": "*i64", "widths": "*i64", "page": "*i64", "items": "*i64",
    "widths_px": "*i64", "to_image": "*fp32",
}  # fmt: skip
_NUMBERS = dict.fromkeys(("entry_step", "row_step", "column_step", "width", "height", "across", "down"), "i32")
_FACTORS = ("blue_scale", "green_scale", "red_scale", "blue_shift", "green_shift", "red_shift")
TYPES = _TENSORS | _NUMBERS | dict.fromkeys(_FACTORS, "fp32")


@triton.jit(do_not_specialize=[*_NUMBERS, *_FACTORS], do_not_specialize_on_alignment=["out", *_TENSORS])
def _sample(
    out, values, offsets, heights, widths, page, items, widths_px, to_image,
    entry_step, row_step, column_step, width, height, across, down,
    blue_scale, green_scale, red_scale, blue_shift, green_shift, red_shift,
):  # fmt: skip
    """Fill one tile of one item."""
    place, tile = tl.program_id(0) // (across * down), tl.program_id(0) % (across * down)
    item = place.to(tl.int64) if items is None else tl.load(items + place)
    column = tile % across * TILE_COLUMNS + tl.arange(0, TILE_COLUMNS)[None, :]
    row = tile // across * TILE_ROWS + tl.arange(0, TILE_ROWS)[:, None]
    inside = (column < width) & (row < height)
    filled = inside if widths_px is None else inside & (column < tl.load(widths_px + item))
    x, y = _image_points(to_image + item * entry_step, row_step, column_step, column, row)
    image = tl.load(page + item)
    image_width, image_height = tl.load(widths + image).to(tl.int32), tl.load(heights + image).to(tl.int32)
    left, right, along = _neighbours(x, image_width)
    top, bottom, down_by = _neighbours(y, image_height)
    words = values + tl.load(offsets + image)
    upper_left = tl.load(words + top * image_width + left, filled, other=0)
    upper_right = tl.load(words + top * image_width + right, filled, other=0)
    lower_left = tl.load(words + bottom * image_width + left, filled, other=0)
    lower_right = tl.load(words + bottom * image_width + right, filled, other=0)
    pixel = out + place.to(tl.int64) * height * width * 3 + (row * width + column) * 3
    blue = _blended(upper_left, upper_right, lower_left, lower_right, 16, along, down_by) * blue_scale + blue_shift
    tl.store(pixel, tl.where(filled, blue, 0.0).to(out.dtype.element_ty), inside)
    green = _blended(upper_left, upper_right, lower_left, lower_right, 8, along, down_by) * green_scale + green_shift
    tl.store(pixel + 1, tl.where(filled, green, 0.0).to(out.dtype.element_ty), inside)
    red = _blended(upper_left, upper_right, lower_left, lower_right, 0, along, down_by) * red_scale + red_shift
    tl.store(pixel + 2, tl.where(filled, red, 0.0).to(out.dtype.element_ty), inside)


@triton.jit
def _image_points(matrix, row_step, column_step, column, row):
    """Where pixel centres of a tile lie in the image: x and y."""
    u, v = column.to(tl.float32) + 0.5, row.to(tl.float32) + 0.5
    x = tl.load(matrix) * u + (tl.load(matrix + column_step) * v + tl.load(matrix + 2 * column_step))
    matrix += row_step
    y = tl.load(matrix) * u + (tl.load(matrix + column_step) * v + tl.load(matrix + 2 * column_step))
    matrix += row_step
    depth = tl.load(matrix) * u + (tl.load(matrix + column_step) * v + tl.load(matrix + 2 * column_step))
    return tl.div_rn(x, depth), tl.div_rn(y, depth)


@triton.jit
def _neighbours(at, size):
    """The pixels before and after points on one axis, within the image, and how far each point is from the first.

    What is beyond the border is on it, before it is made an integer: nothing overflows, and a point that is no number
    reads a pixel like any other.
    """
    at = tl.minimum(tl.maximum(at - 0.5, -1.0), size.to(tl.float32))
    before = tl.floor(at)
    first = before.to(tl.int32)
    last = size - 1
    return tl.minimum(tl.maximum(first, 0), last), tl.minimum(first + 1, last), at - before


@triton.jit
def _blended(upper_left, upper_right, lower_left, lower_right, bits: tl.constexpr, along, down_by):
    """One channel of four words, `bits` up in each, as a float32 of 0 to 255."""
    first, second = ((upper_left >> bits) & 255).to(tl.float32), ((upper_right >> bits) & 255).to(tl.float32)
    third, fourth = ((lower_left >> bits) & 255).to(tl.float32), ((lower_right >> bits) & 255).to(tl.float32)
    upper, lower = first + along * (second - first), third + along * (fourth - third)
    return upper + down_by * (lower - upper)
