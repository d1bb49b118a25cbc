from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from quintet.tensors import geometry, sampling
from quintet.tensors.records import Looks, Raster
from quintet.tensors.resizing import turns_of_whole_pages
from quintet.tensors.sampling import HALF, Normalisation, sample

AS_IS = Normalisation((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))


def packed(images: list[np.ndarray]) -> Raster:
    """RGB images, (H, W, 3) uint8, as one ragged batch."""
    flat = [
        torch.tensor(image.astype(np.int32) @ np.array([1, 256, 65536], dtype=np.int32)).view(-1) for image in images
    ]
    counts = torch.tensor([len(pixels) for pixels in flat])
    heights, widths = (torch.tensor([image.shape[axis] for image in images]) for axis in (0, 1))
    return Raster(torch.cat(flat), counts.cumsum(0) - counts, heights, widths)


@pytest.fixture
def images() -> list[np.ndarray]:
    draw = np.random.default_rng(3)
    return [
        draw.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in ((40, 60), (33, 17), (5, 90))
    ]


@pytest.mark.parametrize("size_px", [(60, 40), (24, 31), (100, 7)])
def test_scaling_equals_opencv_bilinear_without_antialias(images: list[np.ndarray], size_px: tuple[int, int]) -> None:
    sizes = torch.tensor([[image.shape[1], image.shape[0]] for image in images])
    to_image = geometry.scaling(sizes / torch.tensor(size_px))
    ours = sample(packed(images), torch.arange(3), to_image, size_px, AS_IS)
    for item, image in zip(ours, images, strict=True):
        theirs = cv2.resize(image[..., ::-1].astype(np.float32), size_px, interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(item.permute(1, 2, 0).numpy(), theirs, atol=1)  # rounded once for each direction


@pytest.mark.parametrize("quarter_turns", range(4))
def test_a_whole_page_is_resized_to_what_its_points_are(images: list[np.ndarray], quarter_turns: int) -> None:
    sizes = torch.tensor([[float(image.shape[1]), float(image.shape[0])] for image in images])
    upright = sizes.flip(1) if quarter_turns % 2 else sizes
    turns = torch.full((3,), quarter_turns)
    to_image = geometry.upright_to_image(turns, sizes) @ geometry.scaling(upright / torch.tensor([31.0, 24.0]))
    looks = Looks(torch.arange(3), to_image, torch.tensor([2, 0, 1]), None)
    pages = packed(images)
    assert turns_of_whole_pages(pages, looks, (31, 24)) == [quarter_turns] * 3
    ours = sample(pages, looks.page, to_image, (31, 24), AS_IS, items=looks.items)
    point_by_point = torch.empty_like(ours)
    sampling._fill(point_by_point, pages, looks, AS_IS)
    torch.testing.assert_close(ours, point_by_point, rtol=0, atol=1)


def test_what_shows_more_or_less_than_a_page_is_sampled_point_by_point(images: list[np.ndarray]) -> None:
    pages, page = packed(images), torch.arange(3)
    sizes = torch.stack([pages.widths, pages.heights], dim=1).float()
    whole = geometry.scaling(sizes / torch.tensor([31.0, 24.0]))
    cut = geometry.scaling(sizes / torch.tensor([31.0, 24.0]), torch.tensor([[0.0, 0.0], [0.05, 0.0], [0.0, 0.0]]))
    flat = geometry.rectangle_to_quad(
        geometry.box_corners(torch.tensor([[0.0, 0, 60, 39]])), torch.tensor([[31.0, 24]])
    )
    assert turns_of_whole_pages(pages, Looks(page, whole, None, None), (31, 24)) == [0, 0, 0]
    assert turns_of_whole_pages(pages, Looks(page, cut, None, None), (31, 24)) is None
    assert turns_of_whole_pages(pages, Looks(page[:1], flat, None, None), (31, 24)) is None
    assert turns_of_whole_pages(pages, Looks(page, whole, None, torch.full((3,), 31)), (31, 24)) is None


def test_perspective_equals_opencv(images: list[np.ndarray]) -> None:
    quad = np.array([[5, 4], [50, 8], [47, 30], [8, 35]], dtype=np.float32)
    to_image = geometry.rectangle_to_quad(torch.tensor(quad)[None], torch.tensor([[64.0, 48.0]]))
    ours = sample(packed(images), torch.tensor([0]), to_image, (64, 48), AS_IS)
    matrix = to_image[0].numpy().astype(np.float64)
    centre = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    source = images[0][..., ::-1].astype(np.float32)
    theirs = cv2.warpPerspective(source, np.linalg.inv(centre) @ matrix @ centre, (64, 48), flags=flags)
    # OpenCV rounds positions to 1/32 pixel; on noise that is up to 255/32 levels.
    np.testing.assert_allclose(ours[0].permute(1, 2, 0).numpy(), theirs, atol=9)


def test_what_lies_beyond_the_content_is_zero_and_beyond_the_page_its_border(images: list[np.ndarray]) -> None:
    widths = torch.tensor([10])
    item = sample(packed(images), torch.tensor([0]), torch.eye(3)[None], (80, 48), AS_IS, widths_px=widths)[0]
    assert item[:, :, 10:].abs().sum() == 0
    whole = sample(packed(images), torch.tensor([0]), torch.eye(3)[None], (80, 48), AS_IS)[0]
    assert torch.equal(whole[:, :, 60:], whole[:, :, 59:60].expand(-1, -1, 20))


def test_an_item_does_not_depend_on_its_neighbours(images: list[np.ndarray]) -> None:
    to_image = geometry.scaling(torch.full((3, 2), 0.7))
    together = sample(packed(images), torch.arange(3), to_image, (20, 20), AS_IS)
    alone = [sample(packed([image]), torch.tensor([0]), to_image[:1], (20, 20), AS_IS) for image in images]
    assert torch.equal(together, torch.cat(alone))


def test_strips_of_any_height_sample_the_same(images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    quads = torch.tensor([[[5.0, 4.0], [50.0, 8.0], [47.0, 30.0], [8.0, 35.0]]]).expand(3, -1, -1)
    to_image = geometry.rectangle_to_quad(quads, torch.tensor([[64.0, 48.0]]).expand(3, -1))
    whole = sample(packed(images), torch.arange(3), to_image, (64, 48), AS_IS)
    for points in (1, 64 * 3 * 7, 64 * 3 * 48):
        monkeypatch.setattr(sampling, "_CPU_STRIP_POINTS", points)
        in_strips = sample(packed(images), torch.arange(3), to_image, (64, 48), AS_IS)
        assert torch.equal(in_strips, whole)


def test_normalisation_is_applied_in_bgr_order() -> None:
    red = np.zeros((4, 4, 3), dtype=np.uint8)
    red[..., 0] = 255
    item = sample(packed([red]), torch.tensor([0]), torch.eye(3)[None], (4, 4), HALF)
    assert item[0, :, 0, 0].tolist() == pytest.approx([-1, -1, 1])
