"""The sampling kernel beside the tensor code, run by Triton's interpreter: `test_sampling_kernel` starts it.

The interpreter takes 40 ms a tile of 32 x 16 pixels, so most canvases are small.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys

import pytest
import torch
from quintet.tensors import geometry, sampling_kernel
from quintet.tensors.records import Looks, Raster
from quintet.tensors.sampling import HALF, IMAGENET, Normalisation, sample

from tests.unit.tensors.test_sampling import AS_IS

pytestmark = pytest.mark.unit
assert os.environ["TRITON_INTERPRET"] == "1", "set before Triton is imported"

SIZES_PX = [(60, 40), (1, 1), (33, 17), (300, 5), (2, 211)]  # width, height
POISON = -1  # white, and all of the meaningless byte; content is dark
# Points are the same to the last bit; what is left is float32's rounding of values up to 255 in another order.
FLOAT32_OF_LEVELS = 1e-4
# A result of 11 or 8 bits is rounded once, from float32; to bfloat16 the interpreter cuts off.
ROUNDED = {torch.float32: 0.0, torch.float16: 2**-11, torch.bfloat16: 2**-7}
A_TILE, FOUR_TILES = (32, 16), (40, 19)


def dark_pages(seed: int = 1, gap: int = 64) -> Raster:
    """Images of channels below 128 in one buffer, with poison before, between and behind them."""
    draw = torch.Generator().manual_seed(seed)
    words = [torch.randint(0, 128, (w * h, 3), generator=draw, dtype=torch.int32) for w, h in SIZES_PX]
    poison = torch.full((gap,), POISON, dtype=torch.int32)
    pieces, offsets = [poison], []
    for one in words:
        offsets.append(sum(map(len, pieces)))
        pieces += [one @ torch.tensor([1, 256, 65536], dtype=torch.int32), poison]
    widths, heights = torch.tensor(SIZES_PX).unbind(1)
    return Raster(torch.cat(pieces), torch.tensor(offsets), heights, widths)


def looks(size_px: tuple[int, int], seed: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Which image, and how it is looked at: scaled, turned, rectified, partly and wholly beyond its borders."""
    width, height = size_px
    draw = torch.Generator().manual_seed(seed)
    pages, matrices = [], []
    for page, (w, h) in enumerate(SIZES_PX):
        image, canvas = torch.tensor([[float(w), float(h)]]), torch.tensor([[float(width), float(height)]])
        turned = geometry.upright_to_image(torch.tensor([page % 4]), image)
        upright = image.flip(1) if page % 2 else image
        quad = torch.rand((1, 4, 2), generator=draw) * image[:, None] * 1.6 - 0.3 * image[:, None]
        matrices += [turned @ geometry.scaling(upright / canvas), geometry.rectangle_to_quad(quad, canvas)]
        matrices += [geometry.scaling(torch.full((1, 2), step), image * at) for step, at in ((0.3, -0.1), (1e4, -1e6))]
        pages += [page] * 4
    return torch.tensor(pages), torch.cat(matrices)


def kernel(
    pages: Raster,
    page: torch.Tensor,
    to_image: torch.Tensor,
    size_px: tuple[int, int],
    normalisation: Normalisation,
    items: torch.Tensor | None = None,
    widths_px: torch.Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    count = len(page if items is None else items)
    out = torch.full((count, 3, *size_px[::-1]), float("nan"), dtype=dtype).to(memory_format=torch.channels_last)
    sampling_kernel.fill(out, pages, Looks(page, to_image, items, widths_px), normalisation)
    return out


def worst(ours: torch.Tensor, theirs: torch.Tensor, normalisation: Normalisation) -> float:
    """The largest difference in levels of 0 to 255, beyond what the rounding of the result explains."""
    assert ours.shape == theirs.shape
    rounding = ROUNDED[ours.dtype] * theirs.abs().clamp(min=2**-14)
    levels = torch.tensor(normalisation.std)[:, None, None] * 255
    found = ((ours.float() - theirs).abs() - rounding) * levels
    return float(found.amax()) if found.numel() else 0.0


def test_images_are_looked_at_in_every_way() -> None:
    pages = dark_pages()
    page, to_image = looks(A_TILE)
    found = worst(kernel(pages, page, to_image, A_TILE, AS_IS), sample(pages, page, to_image, A_TILE, AS_IS), AS_IS)
    sys.stdout.write(f"worst difference in float32: {found:.1e} of 255 levels\n")
    assert found <= FLOAT32_OF_LEVELS


@pytest.mark.parametrize("dtype", ROUNDED, ids=str)
@pytest.mark.parametrize("normalisation", [AS_IS, IMAGENET, HALF], ids=["as it is", "ImageNet", "half"])
def test_every_dtype_and_normalisation_with_a_mask(dtype: torch.dtype, normalisation: Normalisation) -> None:
    pages, (page, to_image) = dark_pages(), looks(FOUR_TILES)
    items = torch.tensor([1])
    widths = torch.full_like(page, 21)
    expected = sample(pages, page, to_image, FOUR_TILES, normalisation, items=items, widths_px=widths)
    ours = kernel(pages, page, to_image, FOUR_TILES, normalisation, items, widths, dtype)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert not ours[..., 21:].count_nonzero()
    found = worst(ours, expected, normalisation)
    sys.stdout.write(f"worst difference, {dtype}, beyond its rounding: {found:.1e} of 255 levels\n")
    assert found <= FLOAT32_OF_LEVELS


@pytest.mark.slow
@pytest.mark.parametrize("size_px", [(1, 1), (2, 1), (1, 50), (33, 17), (31, 15), (192, 48), (300, 2), (224, 224)])
def test_canvases_of_every_size(size_px: tuple[int, int]) -> None:
    pages, (page, to_image) = dark_pages(), looks(size_px)
    items = torch.tensor([0, 9])
    expected = sample(pages, page, to_image, size_px, IMAGENET, items=items)
    ours = kernel(pages, page, to_image, size_px, IMAGENET, items)
    assert worst(ours, expected, IMAGENET) <= FLOAT32_OF_LEVELS


def test_items_are_chosen_in_any_order_and_more_than_once() -> None:
    pages, (page, to_image) = dark_pages(), looks(A_TILE)
    widths, items = torch.arange(len(page)) * 3, torch.tensor([7, 2, 2, 19, 0])
    expected = sample(pages, page[items], to_image[items], A_TILE, HALF, widths_px=widths[items])
    ours = kernel(pages, page, to_image, A_TILE, HALF, items, widths)
    assert worst(ours, expected, HALF) <= FLOAT32_OF_LEVELS


def test_homographies_of_views_have_any_strides() -> None:
    pages = dark_pages()
    same = torch.eye(3).expand(3, 3, 3)
    turned = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [2.0, 3.0, 1.0]]).T.expand(3, 3, 3)
    page = torch.tensor([0, 9, 2, 9, 3])[::2]
    for to_image in (same, turned):
        expected = sample(pages, page, to_image, (20, 15), AS_IS)
        assert worst(kernel(pages, page, to_image, (20, 15), AS_IS), expected, AS_IS) <= FLOAT32_OF_LEVELS


def test_no_items_and_no_pixels() -> None:
    pages, none = dark_pages(), torch.empty(0, dtype=torch.int64)
    page, to_image = looks((8, 8))
    assert kernel(pages, none, to_image[:0], (8, 8), HALF).shape == (0, 3, 8, 8)
    assert kernel(pages, page, to_image, (8, 8), HALF, none, none).shape == (0, 3, 8, 8)
    assert kernel(pages, page, to_image, (0, 8), HALF).shape == (20, 3, 8, 0)


NO_NUMBER, ENDLESS = float("nan"), float("inf")
BROKEN = [
    [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
    [[1, 0, 0], [0, 1, 0], [0, 0, -0.5]],
    [[1, 0, 0], [0, 1, 0], [-0.125, 0, 1]],  # the horizon goes through the item
    [[1e38, 1e38, 1e38], [-1e38, -1e38, -1e38], [0, 0, 1e-38]],
    [[NO_NUMBER, 0, 0], [0, ENDLESS, 0], [0, 0, 1]],
    [[-ENDLESS, 0, 0], [0, 1, 0], [0, NO_NUMBER, 1]],
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of divisions by zero
def test_homographies_that_lead_nowhere_give_pixels_of_their_image() -> None:
    pages = dark_pages()
    ours = kernel(pages, torch.arange(6) % 5, torch.tensor(BROKEN), A_TILE, AS_IS)
    assert bool(((ours >= 0) & (ours < 128)).all()), "poison is 255"


NOT_RESERVED = 0x4000  # MAP_NORESERVE of Linux, which `mmap` has from Python 3.13


class Guarded:
    """Memory whose neighbours on both sides may not be touched: the process would end."""

    def __init__(self, size: int, *, reserve: bool = True) -> None:
        page = mmap.PAGESIZE
        self._inner = -(-size // page) * page
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | (0 if reserve else NOT_RESERVED)
        self._map = mmap.mmap(-1, self._inner + 2 * page, flags=flags)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        libc = ctypes.CDLL(None, use_errno=True)
        for guard in (start, start + page + self._inner):
            assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0

    def tensor(self, count: int, dtype: torch.dtype, *, at_end: bool = False, skipped: int = 0) -> torch.Tensor:
        """So many elements at the memory's beginning, or at its end."""
        first = self._inner - count * dtype.itemsize if at_end else skipped * dtype.itemsize
        return torch.frombuffer(self._map, dtype=dtype, count=count, offset=mmap.PAGESIZE + first)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("at_end", [False, True])
def test_nothing_outside_of_the_images_is_read_and_nothing_outside_of_the_result_is_written(at_end: bool) -> None:
    images, (page, to_image) = dark_pages(gap=0), looks(FOUR_TILES)
    page, to_image = torch.cat([page, torch.arange(6) % 5]), torch.cat([to_image, torch.tensor(BROKEN)])
    count = len(page) * 3 * 40 * 19
    tensors = {"values": images.values, "offsets": images.offsets, "heights": images.heights, "widths": images.widths}
    tensors |= {"page": page, "to_image": to_image, "widths_px": torch.arange(len(page)) * 3}
    held = {}
    for name, tensor in tensors.items():
        held[name] = Guarded(tensor.nbytes).tensor(tensor.numel(), tensor.dtype, at_end=at_end).view(tensor.shape)
        held[name].copy_(tensor)
    out = Guarded(2 * count).tensor(count, torch.float16, at_end=at_end).view(len(page), 19, 40, 3).permute(0, 3, 1, 2)
    pages = Raster(*(held[name] for name in ("values", "offsets", "heights", "widths")))
    sampling_kernel.fill(out, pages, Looks(held["page"], held["to_image"], None, held["widths_px"]), HALF)
    expected = sample(images, page, to_image, FOUR_TILES, HALF, widths_px=tensors["widths_px"])
    assert worst(out[:20], expected[:20], HALF) <= FLOAT32_OF_LEVELS


@pytest.mark.slow
def test_places_beyond_what_32_bits_count() -> None:
    """In memory of which only a few pages are ever touched; the tensor itself says that it is short."""
    small, (page, to_image), far = dark_pages(gap=0), looks(A_TILE), 2**31 + 5
    memory = Guarded(4 * (far + len(small.values)), reserve=False)
    memory.tensor(len(small.values), torch.int32, skipped=far).copy_(small.values)
    pages = Raster(memory.tensor(1, torch.int32), small.offsets + far, small.heights, small.widths)
    expected = sample(small, page, to_image, A_TILE, AS_IS)
    assert worst(kernel(pages, page, to_image, A_TILE, AS_IS), expected, AS_IS) <= FLOAT32_OF_LEVELS
