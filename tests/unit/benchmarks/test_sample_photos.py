"""The sample photos: reproducible, and their truth lies within them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.photo_files import PhotosMissingError, photo_files
from benchmarks.sample_photos import Photo, make_photo


@pytest.fixture(scope="module")
def files() -> dict[str, Path]:
    try:
        return photo_files()
    except PhotosMissingError as error:
        pytest.skip(f"the photos are not at hand: {error}")


@pytest.fixture(scope="module")
def photos(files: dict[str, Path]) -> list[Photo]:
    return [make_photo(files, 7, index) for index in range(8)]


def test_a_photo_is_a_function_of_seed_and_index(files: dict[str, Path], photos: list[Photo]) -> None:
    assert make_photo(files, 7, 3) == photos[3]
    assert make_photo(files, 8, 3) != photos[3]


def test_faces_and_texts_lie_in_their_photos_and_there_are_photos_without(photos: list[Photo]) -> None:
    for image, faces, texts in photos:
        points = [(x, y) for x0, y0, x1, y1 in faces for x, y in ((x0, y0), (x1, y1))]
        points += [(x, y) for quad in texts for x, y in quad]
        assert all(0 <= x <= image.width and 0 <= y <= image.height for x, y in points)
    assert {bool(photo.faces) for photo in photos} == {bool(photo.texts) for photo in photos} == {True, False}
