"""Dilation and labelling of batches of masks, against OpenCV on every map alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from quintet.tensors.components import Runs, label_runs, threshold_and_dilate

from tests.unit.tensors.opencv_reference import Mask, raster_of, reference_dilation, reference_partition

# On a busy machine a first call takes seconds.
PATIENT = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DENSITIES = (0.02, 0.1, 0.3, 0.4, 0.5, 0.6, 0.8, 0.98)
# Sides from 1: maps of one column or one row are where rows or maps would leak into each other.
SIDES = st.integers(1, 12)
BATCHES = st.lists(arrays(np.bool_, st.tuples(SIDES, SIDES)), min_size=1, max_size=5)


@PATIENT
@given(BATCHES)
def test_dilation_equals_opencvs_on_each_map_of_a_batch(masks: list[Mask]) -> None:
    batch = raster_of([mask.astype(np.float32) for mask in masks])
    dilated = threshold_and_dilate(batch, 0.3)
    expected = raster_of([reference_dilation(mask) for mask in masks])
    assert torch.equal(dilated.values, expected.values)


def test_a_probability_equal_to_the_threshold_is_not_text() -> None:
    assert not threshold_and_dilate(raster_of([np.full((2, 2), 0.5, np.float32)]), 0.5).values.any()


@PATIENT
@given(BATCHES)
def test_components_equal_opencvs_on_each_map_of_a_batch(masks: list[Mask]) -> None:
    assert_same_partition(masks, label_runs(raster_of(masks)))


@PATIENT
@given(st.sampled_from(DENSITIES), st.integers(0, 2**32 - 1))
def test_components_equal_opencvs_at_any_density(density: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    masks = [random.random(shape) < density for shape in ((90, 130), (61, 7), (1, 300), (300, 1))]
    assert_same_partition(masks, label_runs(raster_of(masks)))


def spiral(side: int) -> Mask:
    """One line of one pixel that winds to the centre: the longest path between two runs."""
    mask = np.zeros((side, side), np.bool_)
    x, y, dx, dy = 0, 0, 1, 0
    for length in [side - 1, *np.repeat(np.arange(side - 1, 0, -2), 2)]:
        for _ in range(length):
            mask[y, x] = True
            x, y = x + dx, y + dy
        dx, dy = -dy, dx
    return mask


def comb(side: int) -> Mask:
    """Teeth that only meet in the last row, so that every root has to be hooked at the end."""
    mask = np.zeros((side, side), np.bool_)
    mask[:, ::2] = True
    mask[-1] = True
    return mask


def zigzag(side: int) -> Mask:
    """Rows that join at the right and at the left by turns."""
    mask = np.zeros((side, side), np.bool_)
    mask[::2] = True
    mask[1::4, -1] = True
    mask[3::4, 0] = True
    return mask


ADVERSARIAL = {
    "spiral": spiral(201),
    "comb": comb(200),
    "comb upside down": comb(200)[::-1].copy(),
    "comb on its side": comb(200).T.copy(),
    "zigzag": zigzag(200),
    "zigzag on its side": zigzag(200).T.copy(),
    "chessboard": np.indices((100, 100)).sum(0) % 2 == 0,
    "diagonal": np.eye(300, dtype=np.bool_),
    "diagonal the other way": np.eye(300, dtype=np.bool_)[::-1].copy(),
    "single pixels": np.arange(10_000).reshape(100, 100) % 3 == np.zeros((100, 1), np.int64),
    "full": np.ones((300, 200), np.bool_),
    "empty": np.zeros((30, 20), np.bool_),
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_components_equal_opencvs_on_adversarial_masks(name: str) -> None:
    assert_same_partition([ADVERSARIAL[name]], label_runs(raster_of([ADVERSARIAL[name]])))


def test_components_equal_opencvs_on_all_adversarial_masks_in_one_batch() -> None:
    masks = list(ADVERSARIAL.values())
    assert_same_partition(masks, label_runs(raster_of(masks)))


@PATIENT
@given(BATCHES, st.randoms())
def test_the_order_of_maps_in_memory_does_not_matter(masks: list[Mask], random: object) -> None:
    memory_order = list(range(len(masks)))
    random.shuffle(memory_order)  # type: ignore[attr-defined]
    assert_same_partition(masks, label_runs(raster_of(masks, memory_order)))


@PATIENT
@given(BATCHES)
def test_components_are_numbered_by_their_first_runs(masks: list[Mask]) -> None:
    runs = label_runs(raster_of(masks))
    seen = list(dict.fromkeys(runs.component.tolist()))
    assert seen == list(range(len(runs.component_page)))
    assert torch.equal(runs.component_page[runs.component], runs.page)


def test_no_maps_have_no_runs() -> None:
    runs = label_runs(threshold_and_dilate(raster_of([]), 0.3))
    assert runs.start.shape == runs.component.shape == runs.component_page.shape == (0,)


def assert_same_partition(masks: list[Mask], runs: Runs) -> None:
    for page, mask in enumerate(masks):
        labels = np.zeros(mask.shape, np.int64)
        for start, stop, row, component in run_table(runs, page):
            labels[row, start : stop + 1] = component + 1
        np.testing.assert_array_equal(in_order_of_appearance(labels), in_order_of_appearance(reference_partition(mask)))


def run_table(runs: Runs, page: int) -> list[list[int]]:
    columns = torch.stack([runs.start, runs.stop, runs.row, runs.component], 1)
    rows: list[list[int]] = columns[runs.page == page].tolist()
    return rows


def in_order_of_appearance(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number the labels of an image from 1 as they appear; 0 stays 0."""
    values, first, index = np.unique(labels, return_index=True, return_inverse=True)
    numbers = np.empty(len(values), np.int64)
    numbers[np.argsort(np.where(values == 0, -1, first))] = np.arange(len(values)) + (0 not in values)
    return numbers[index].reshape(labels.shape)
