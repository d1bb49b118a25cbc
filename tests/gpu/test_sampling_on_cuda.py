"""The sampling kernel on a CUDA device: the pixels of the tensor code there, few versions, and the time of both."""

from __future__ import annotations

import sys

import pytest
import torch
from quintet.tensors import geometry, sampling
from quintet.tensors.records import Looks, Raster
from quintet.tensors.sampling import HALF, IMAGENET, Normalisation, sample

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

PAGE_PX = (1240, 1754)
# What stages look at in one call: its size, how many, and what the network expects.
CALLS: dict[str, tuple[tuple[int, int], int, Normalisation]] = {
    "layout": ((608, 800), 64, IMAGENET),
    "text detection": ((928, 1280), 16, HALF),
    "line orientation": ((192, 48), 256, HALF),
    "recognition": ((640, 48), 64, HALF),
    "a line": ((72, 48), 1, HALF),
}
# One step of the number format at values up to 2.7: what float32 rounds may lead to its other side.
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2**-9, torch.bfloat16: 2**-6}


@pytest.fixture(scope="module")
def pages() -> Raster:
    sizes = torch.tensor([PAGE_PX] * 16)
    draw = torch.Generator("cuda").manual_seed(1)
    values = torch.randint(0, 1 << 24, (int(sizes.prod(dim=1).sum()),), generator=draw, device="cuda")
    return Raster.end_to_end(values.to(torch.int32), sizes, lambda tensor: tensor.cuda())


def looks(size_px: tuple[int, int], count: int) -> Looks:
    """Whole pages a little turned, or lines of them, all in another order."""
    width, height = size_px
    draw = torch.Generator().manual_seed(2)
    page = torch.randint(0, 16, (count,), generator=draw)
    corner = torch.rand((count, 1, 2), generator=draw) * torch.tensor([600.0, 1600.0]) * (height == 48)
    side = torch.tensor([float(width), 40.0] if height == 48 else PAGE_PX)
    quads = corner + torch.tensor([[0.0, 0.0], [1.0, 0.01], [1.0, 1.0], [0.01, 1.0]]) * side
    to_image = geometry.rectangle_to_quad(quads, torch.tensor([size_px]).expand(count, 2).float())
    widths = torch.randint(width // 2, width + 1, (count,), generator=draw)
    items = torch.randperm(count, generator=draw)
    return Looks(page.cuda(), to_image.cuda(), items.cuda(), widths.cuda())


def both(pages: Raster, name: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    size_px, count, normalisation = CALLS[name]
    seen = looks(size_px, count)
    ours = sample(
        pages, seen.page, seen.to_image, size_px, normalisation,
        items=seen.items, widths_px=seen.widths_px, dtype=dtype,
    )  # fmt: skip
    theirs = torch.empty_like(ours)
    sampling._fill_rounded_once(theirs, pages, seen, normalisation)
    return ours, theirs


def test_the_kernel_is_what_fills_here() -> None:
    assert sampling._fill_on_cuda(torch.device("cuda", torch.cuda.current_device())) is not sampling._fill_rounded_once


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_the_kernel_fills_what_the_tensor_code_fills(pages: Raster, name: str, dtype: torch.dtype) -> None:
    ours, theirs = both(pages, name, dtype)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE[dtype])


def test_sizes_strides_and_alignments_compile_no_further_version(pages: Raster) -> None:
    from quintet.tensors.sampling_kernel import _sample  # noqa: PLC0415 - a machine without a GPU may have no Triton

    def versions() -> int:
        return sum(len(caches[0]) for caches in _sample.device_caches.values())

    both(pages, "a line", torch.float16)
    before = versions()
    for name in CALLS:
        both(pages, name, torch.float16)
    for size_px in ((1, 1), (16, 16), (17, 3)):
        seen = looks(size_px, 5)
        assert seen.items is not None
        for items in (seen.items[1:], seen.items[:1]):
            options = {"items": items, "widths_px": seen.widths_px, "dtype": torch.float16}
            sample(pages, seen.page, seen.to_image, size_px, HALF, **options)
    assert versions() == before
    assert before <= 4 * len(TOLERANCE)


@pytest.mark.parametrize("name", CALLS)
def test_the_kernel_is_faster_than_the_tensor_code(
    pages: Raster, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Medians of 20, of the device's own clock; docs/gpu.md predicts bytes, here is what they take."""
    size_px, count, normalisation = CALLS[name]
    seen = looks(size_px, count)
    out = torch.empty((count, 3, *size_px[::-1]), dtype=torch.float16, device="cuda")
    out = out.to(memory_format=torch.channels_last)
    taken = {}
    for way in (sampling._fill_on_cuda(out.device), sampling._fill):
        times = []
        for _ in range(23):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            way(out, pages, seen, normalisation)
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end))
        taken[way] = sorted(times[3:])[10]
    ours, theirs = taken.values()
    moved = out.nbytes + out.numel() * 16 / 3
    with capsys.disabled():
        rate = moved / ours / 1e9
        sys.stdout.write(
            f"\n{name}: {ours:.3f} ms, {rate:.2f} TB/s; in tensors {theirs:.3f} ms, {theirs / ours:.1f}x\n"
        )
    assert ours < theirs
