"""DB post-processing of batches of probability maps, against RapidOCR's on every map alone."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quintet.tensors.components import label_runs, threshold_and_dilate
from quintet.tensors.records import Lines, Raster
from quintet.tensors.text_quads import (
    Rectangles,
    corners,
    rectangle_scores,
    rectangles_around,
    text_quads,
    unclip,
)
from torch.utils._python_dispatch import TorchDispatchMode

from tests.unit.tensors.opencv_reference import (
    Floats,
    matched_share,
    raster_of,
    reference_order,
    reference_quads,
    reference_score,
    reference_unclip,
)

PARAMETERS: dict[str, Any] = {"threshold": 0.3, "box_threshold": 0.5, "unclip_ratio": 1.6}
SEEDS = st.integers(0, 2**32 - 1)


def page(seed: int, height: int = 320, width: int = 400) -> Floats:
    """A probability map like a detector's: blurred, turned boxes that leave room between them."""
    random = np.random.default_rng(seed)
    image = np.zeros((height, width), np.float32)
    tilt = random.uniform(-8, 8)
    for y in range(30, height - 20, 40):
        for x in range(70, width - 60, 140):
            size = random.uniform(30, 100), random.uniform(8, 16)
            box = cv2.boxPoints(((x, y), size, tilt + random.uniform(-2, 2)))
            cv2.fillPoly(image, [box.astype(np.int32)], 1.0)
    return np.asarray(cv2.GaussianBlur(image, (5, 5), 1.2), np.float32)


def rectangle(centre: tuple[float, float], size: tuple[float, float], angle_deg: float) -> Rectangles:
    angle = torch.tensor([angle_deg], dtype=torch.float32).deg2rad()
    return Rectangles(torch.tensor([centre]), torch.tensor([size]), angle, torch.zeros(1, dtype=torch.int64))


def rectangles_in(probabilities: Raster) -> Rectangles:
    return rectangles_around(label_runs(threshold_and_dilate(probabilities, 0.3)))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 90), st.integers(2, 90), st.floats(0, 180), st.sampled_from(["box", "ellipse"]))
def test_rectangles_have_the_area_of_opencvs(long: int, short: int, angle_deg: float, shape: str) -> None:
    image = np.zeros((200, 200), np.float32)
    if shape == "box":
        cv2.fillPoly(image, [cv2.boxPoints(((100, 100), (long, short), angle_deg)).astype(np.int32)], 1.0)
    else:
        cv2.ellipse(image, (100, 100), (long, short), angle_deg, 0, 360, 1.0, -1)
    rows, columns = np.nonzero(cv2.dilate(image, np.ones((2, 2), np.uint8)))
    _, expected, _ = cv2.minAreaRect(np.stack([columns, rows], 1).astype(np.float32))
    found = rectangles_in(raster_of([image]))
    # Float32 leaves 1e-3 px where a component has no height.
    assert float(found.size.prod()) == pytest.approx(expected[0] * expected[1], rel=0.01, abs=0.1)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_rectangles_contain_their_components(seed: int) -> None:
    blobs = cv2.GaussianBlur(np.random.default_rng(seed).random((60, 80)), (0, 0), 3)
    runs = label_runs(raster_of([blobs > 0.5]))
    found = rectangles_around(runs)
    for column in (runs.start, runs.stop):
        points = torch.stack([column, runs.row], 1) + 0.5 - found.centre[runs.component]
        cos, sin = found.angle.cos()[runs.component], found.angle.sin()[runs.component]
        along = torch.stack([points[:, 0] * cos + points[:, 1] * sin, points[:, 1] * cos - points[:, 0] * sin], 1)
        assert bool((along.abs() <= found.size[runs.component] / 2 + 1e-3).all())


def test_scores_equal_rapidocrs_within_the_sampling() -> None:
    maps = [page(seed) for seed in range(8)]
    probabilities = raster_of(maps)
    rectangles = rectangles_in(probabilities)
    scores = rectangle_scores(probabilities, rectangles).numpy()
    quads, owners = corners(rectangles).numpy(), rectangles.page.tolist()
    expected = [reference_score(maps[owner], quad) for owner, quad in zip(owners, quads, strict=True)]
    assert np.abs(scores - expected).max() < 0.08
    assert np.abs(np.mean(scores - expected)) < 0.02


def test_samples_outside_the_map_do_not_lower_a_score() -> None:
    left, right = np.ones((40, 40), np.float32), np.zeros((40, 40), np.float32)
    scores = rectangle_scores(raster_of([left, right]), rectangle((40, 40), (30, 20), 30))
    assert scores.tolist() == [1.0]


def test_a_rectangle_without_any_pixel_in_its_map_scores_nothing() -> None:
    scores = rectangle_scores(raster_of([np.ones((9, 9), np.float32)]), rectangle((50, 50), (3, 3), 0))
    assert scores.tolist() == [0.0]


@settings(max_examples=40, deadline=None)
@given(st.floats(4, 300), st.floats(4, 60), st.floats(-45, 45), st.sampled_from([1.4, 1.6, 2.0]))
def test_unclip_grows_as_pyclipper_does(width: float, height: float, angle_deg: float, ratio: float) -> None:
    inner = rectangle((200.5, 200.5), (width, height), angle_deg)
    # Pyclipper cuts coordinates down to integers: sixteen times as large, that is a sixteenth of a pixel.
    grown = reference_unclip((corners(inner)[0] * 16).numpy(), ratio) / 16
    expected = sorted([np.linalg.norm(grown[1] - grown[0]), np.linalg.norm(grown[2] - grown[1])])
    assert sorted(unclip(inner, ratio).size[0].tolist()) == pytest.approx(expected, abs=0.5)


@settings(max_examples=60, deadline=None)
@given(st.floats(5, 300), st.floats(5, 300), st.floats(-2, 92))
def test_corners_stand_in_rapidocrs_order(width: float, height: float, angle_deg: float) -> None:
    quad = corners(rectangle((300, 300), (width, height), angle_deg))[0].numpy()
    gaps = np.diff(np.sort(quad, axis=0), axis=0)
    if gaps.min() > 0.1:  # where two corners are level, rounding decides
        np.testing.assert_allclose(quad, reference_order(quad), atol=0.05)


@settings(deadline=None)
@given(st.floats(5, 300), st.floats(5, 300), st.floats(-2, 92))
def test_corners_run_clockwise(width: float, height: float, angle_deg: float) -> None:
    x, y = corners(rectangle((300, 300), (width, height), angle_deg))[0].double().unbind(1)
    area = (x * y.roll(-1) - x.roll(-1) * y).sum() / 2  # y points down: positive is clockwise
    assert float(area) == pytest.approx(width * height, rel=1e-3)


def test_quads_match_rapidocrs_both_ways() -> None:
    maps = [page(seed) for seed in range(10)]
    found = text_quads(raster_of(maps), **PARAMETERS)
    ours = [found.quads_px[found.page == n].numpy() for n in range(len(maps))]
    theirs = [reference_quads(each, **PARAMETERS) for each in maps]
    assert np.mean([matched_share(*pair, 0.7) for pair in zip(ours, theirs, strict=True)]) >= 0.99
    assert np.mean([matched_share(*pair, 0.7) for pair in zip(theirs, ours, strict=True)]) >= 0.99


def assert_equal(one: Lines, other: Lines) -> None:
    for mine, theirs in zip(astuple(one), astuple(other), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4)


def mixed_pages() -> list[Floats]:
    blank = np.zeros((64, 32), np.float32)
    return [page(1), page(2, 192, 256), blank, page(3, 480, 224), np.ones((5, 1), np.float32), page(4)]


def test_a_batch_of_maps_equals_its_maps_one_at_a_time() -> None:
    maps = mixed_pages()
    batch = text_quads(raster_of(maps), **PARAMETERS)
    for n, each in enumerate(maps):
        mine = batch.page == n
        alone = text_quads(raster_of([each]), **PARAMETERS)
        assert_equal(Lines(batch.quads_px[mine], batch.page[mine] - n), alone)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_pages_does_not_matter(order: list[int]) -> None:
    maps = mixed_pages()
    expected = text_quads(raster_of(maps), **PARAMETERS)
    assert_equal(text_quads(raster_of(maps, memory_order=order), **PARAMETERS), expected)
    shuffled = text_quads(raster_of([maps[n] for n in order]), **PARAMETERS)
    owner = torch.tensor(order)[shuffled.page]
    back = owner.argsort(stable=True)
    assert_equal(Lines(shuffled.quads_px[back], owner[back]), expected)


def test_lines_of_a_page_stand_together_in_the_order_of_pages() -> None:
    pages = text_quads(raster_of(mixed_pages(), [5, 3, 1, 0, 2, 4]), **PARAMETERS).page
    assert torch.equal(pages, pages.sort().values)


@pytest.mark.parametrize("maps", [[], [np.zeros((32, 64), np.float32)], [np.zeros((1, 1), np.float32)] * 3])
def test_nothing_to_read_gives_empty_records(maps: list[Floats]) -> None:
    found = text_quads(raster_of(maps), **PARAMETERS)
    assert found.quads_px.shape == (0, 4, 2)
    assert found.page.shape == (0,)


def test_weak_and_small_components_are_dropped() -> None:
    image = np.zeros((100, 200), np.float32)
    image[10:30, 10:90] = 0.9
    image[50:70, 10:90] = 0.4  # above the threshold, below the box threshold
    image[80:82, 10:90] = 0.9  # 2 px between the outer pixel centres, with the dilation
    found = text_quads(raster_of([image]), **PARAMETERS)
    assert len(found.quads_px) == 1
    assert 10 < float(found.quads_px[..., 1].mean()) < 30


def test_half_precision_maps_give_the_same_geometry_in_float32() -> None:
    single = raster_of([page(7)])
    half = Raster(single.values.half(), single.offsets, single.heights, single.widths)
    found, expected = text_quads(half, **PARAMETERS), text_quads(single, **PARAMETERS)
    assert found.quads_px.dtype == torch.float32
    torch.testing.assert_close(found.quads_px, expected.quads_px, rtol=0, atol=1.5)
    rectangles = rectangles_in(single)
    scores = rectangle_scores(half, rectangles)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, rectangle_scores(single, rectangles), rtol=0, atol=0.02)


class SyncCount(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operators whose result's size, or whose use on the host, makes CUDA wait."""

    names = ("nonzero", "_local_scalar_dense", "masked_select", "_unique2", "unique_consecutive", "item")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        by_mask = name.startswith("index") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool
            for index in (args[1] if isinstance(args[1], (list, tuple)) else [])
        )
        unsized = name == "repeat_interleave" and (kwargs or {}).get("output_size") is None
        self.count += name in self.names or by_mask or unsized
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "maps",
    [[page(0)], [page(seed, 160, 200) for seed in range(40)], [page(0, 900, 1200)], [np.zeros((9, 9), np.float32)]],
    ids=["one map", "forty maps", "many lines", "a blank map"],
)
def test_syncs_do_not_grow_with_maps_or_lines(maps: list[Floats]) -> None:
    probabilities = raster_of(maps)
    with SyncCount() as syncs:
        text_quads(probabilities, **PARAMETERS)
    assert syncs.count == 11
