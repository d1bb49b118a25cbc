from __future__ import annotations

import numpy as np
import pytest
import torch
from quintet.tensors.areas import area_means, area_sums
from quintet.tensors.records import Raster
from quintet.tensors.sampling import HALF, Normalisation

from tests.unit.tensors.test_sampling import AS_IS, packed

SIZES_PX = [(60, 40), (57, 33), (17, 90), (1, 1), (131, 7)]


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    draw = np.random.default_rng(5)
    return [draw.integers(0, 256, (height, width, 3), dtype=np.uint8) for width, height in SIZES_PX]


def sums_of(images: list[np.ndarray]) -> Raster:
    return area_sums(packed(images), torch.tensor([image.shape[1::-1] for image in images]), lambda tensor: tensor)


def expected(image: np.ndarray, box: list[int], size_px: tuple[int, int]) -> torch.Tensor:
    left, top, right, bottom = box
    cut = torch.from_numpy(image[top:bottom, left:right, ::-1].copy()).permute(2, 0, 1)[None].float()
    return torch.nn.functional.interpolate(cut, size=size_px[::-1], mode="area")[0]


@pytest.mark.parametrize("size_px", [(24, 24), (5, 3), (100, 7), (1, 1)])
def test_boxes_scaled_to_a_size_are_what_pytorchs_area_interpolation_makes_of_them(
    images: list[np.ndarray], size_px: tuple[int, int]
) -> None:
    draw = np.random.default_rng(1)
    page = [number for number in range(len(images)) for _ in range(6)]
    corners = [np.sort(draw.integers(0, [SIZES_PX[n]] * 2, (2, 2)), axis=0) for n in page]
    boxes = [[*low.tolist(), *(high + 1).tolist()] for low, high in corners]
    ours = area_means(sums_of(images), torch.tensor(page), torch.tensor(boxes), size_px, AS_IS)
    for number, box, item in zip(page, boxes, ours, strict=True):
        torch.testing.assert_close(item, expected(images[number], box, size_px), atol=2e-3, rtol=0)


def test_what_is_not_filled_is_zero_and_changes_nothing_else(images: list[np.ndarray]) -> None:
    sums, page, sizes = sums_of(images), torch.tensor([0, 2]), torch.tensor([[20, 13], [9, 31]])
    boxes = torch.tensor([[0, 0, *SIZES_PX[0]], [0, 0, *SIZES_PX[2]]])
    together = area_means(sums, page, boxes, (24, 32), HALF, sizes_px=sizes)
    for number, (width, height) in enumerate(sizes.tolist()):
        one = slice(number, number + 1)
        alone = area_means(sums, page[one], boxes[one], (width, height), HALF)
        assert torch.equal(together[one, :, :height, :width], alone)
        assert together[number].count_nonzero() == alone.count_nonzero()


def test_a_tile_is_a_part_of_the_whole(images: list[np.ndarray]) -> None:
    sums, page = sums_of(images), torch.tensor([0, 4])
    boxes = torch.tensor([[3, 2, 58, 39], [0, 0, *SIZES_PX[4]]])
    sizes, begins = torch.tensor([[40, 30], [200, 40]]), torch.tensor([[32, 5], [120, 20]])
    tiles = area_means(sums, page, boxes, (16, 20), HALF, sizes_px=sizes, begins_px=begins)
    for number, ((width, height), (x, y)) in enumerate(zip(sizes.tolist(), begins.tolist(), strict=True)):
        one = slice(number, number + 1)
        whole = area_means(sums, page[one], boxes[one], (width, height), HALF)[0, :, y : y + 20, x : x + 16]
        assert torch.equal(tiles[number, :, : whole.shape[1], : whole.shape[2]], whole)
        assert tiles[number].count_nonzero() == whole.count_nonzero()


def test_normalisation_is_by_channel_in_bgr_order(images: list[np.ndarray]) -> None:
    normalisation = Normalisation((0.1, 0.2, 0.3), (0.5, 0.25, 0.125))
    box = torch.tensor([[0, 0, *SIZES_PX[0]]])
    ours = area_means(sums_of(images), torch.tensor([0]), box, (8, 8), normalisation)[0]
    mean, std = (torch.tensor(values)[:, None, None] for values in normalisation)
    torch.testing.assert_close(ours, (expected(images[0], box[0].tolist(), (8, 8)) / 255 - mean) / std)


def test_an_empty_batch_and_no_boxes_are_fine(images: list[np.ndarray]) -> None:
    none = area_sums(
        Raster(*(torch.empty(0, dtype=torch.int64),) * 4), torch.empty(0, 2, dtype=torch.int64), torch.clone
    )
    assert none.values.shape == (0, 3)
    no_boxes = torch.empty(0, 4, dtype=torch.int64)
    assert area_means(sums_of(images), no_boxes[:, 0], no_boxes, (24, 24), HALF).shape == (0, 3, 24, 24)


def test_sums_that_wrap_around_give_the_same_means() -> None:
    white = np.full((3000, 3000, 3), 255, dtype=np.uint8)  # 2.3e9 in all, above what int32 holds
    box = torch.tensor([[1000, 2000, 3000, 3000]])
    assert (area_means(sums_of([white]), torch.tensor([0]), box, (2, 2), AS_IS) == 255).all()
