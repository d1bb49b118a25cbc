from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quintet.tensors.geometry import box_corners, map_points
from quintet.tensors.levels import crop, crop_frames, slices
from quintet.tensors.records import Images, Raster
from quintet.tensors.sampling import Normalisation

AS_IS = Normalisation((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))


@given(st.lists(st.integers(0, 4), max_size=30))
def test_slices_give_each_image_its_own_regions_and_all_of_them(owners: list[int]) -> None:
    image = torch.tensor(sorted(owners), dtype=torch.int64)
    found = slices(image, 5)
    assert [image[own].tolist() for own in found] == [[n] * int((image == n).sum()) for n in range(5)]


@pytest.fixture
def images() -> Images:
    """Two images whose pixels, word by word, say where they are: red is x, green is y, blue is the image."""
    sizes = torch.tensor([[40, 30], [20, 50]])
    words = []
    for number, (width, height) in enumerate(sizes.tolist()):
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        words.append((x + 256 * y + 65536 * number).to(torch.int32).view(-1))
    return Images(Raster.end_to_end(torch.cat(words), sizes, lambda tensor: tensor), sizes)


def test_a_crop_shows_its_region_of_its_image(images: Images) -> None:
    boxes = torch.tensor([[4.0, 6.0, 14.0, 16.0], [2.0, 30.0, 12.0, 40.0]])
    blue, green, red = crop(images.as_they_are(), box_corners(boxes), torch.tensor([0, 1]), (10, 10), AS_IS).unbind(1)
    assert torch.allclose(red[0, 0], torch.arange(4.0, 14.0), atol=1e-3)
    assert torch.allclose(green[1, :, 0], torch.arange(30.0, 40.0), atol=1e-3)
    assert torch.allclose(blue, torch.tensor([0.0, 1.0])[:, None, None].expand(-1, 10, 10), atol=1e-3)


def test_what_is_found_in_a_crop_goes_back_to_the_region_of_a_turned_quad() -> None:
    quads = torch.tensor([[[10.0, 5.0], [10.0, 25.0], [0.0, 25.0], [0.0, 5.0]]])  # a quarter turn clockwise
    corners = torch.tensor([[[0.0, 0.0], [64.0, 0.0], [64.0, 32.0], [0.0, 32.0]]])
    assert torch.allclose(map_points(crop_frames(quads, (64, 32)), corners), quads, atol=1e-4)


def test_images_without_regions_are_fine(images: Images) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert slices(none, 2) == [slice(0, 0), slice(0, 0)]
    assert crop(images.as_they_are(), torch.zeros(0, 4, 2), none, (8, 6), AS_IS).shape == (0, 3, 6, 8)
