"""Calls that are filled up to few shapes, run and replayed: on a CPU, where a replay is the network itself."""

from __future__ import annotations

import functools
import math
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quintet.engine.calls import HALVES, QUARTERS, Parts, call_sizes, filled_size, full_call, plan_calls
from quintet.engine.cuda_graphs import Recorder
from quintet.engine.few_shapes import FewShapes
from quintet.pages.settings import Settings
from quintet.pages.stages.recognition import all_bucket_widths, bucket_widths
from quintet.photos.settings import PhotoSettings
from quintet.photos.stages.face_proposals import FEW_SIDES_PX, pyramid, tiles_of
from quintet.stages.text_detection import USUAL_CANVASES, TextDetectionSettings, all_canvas_sizes, canvas_sizes
from torch import Tensor, nn

ITEM, OTHER = (3, 8, 16), (3, 8, 24)
FULL = 11
SIZES = [11, 3, 1]


@functools.cache
def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval()


class Work:
    """A network of two outputs that notes the shapes of its calls."""

    def __init__(self) -> None:
        self.network = network()
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, batch: Tensor) -> tuple[Tensor, ...]:
        self.shapes.append(tuple(batch.shape))
        output = self.network(batch.contiguous(memory_format=torch.channels_last))
        return output, output.argmax(dim=1).int()

    @property
    def sizes(self) -> list[int]:
        return [shape[0] for shape in self.shapes]


def few_shapes_of(work: Work, *, recorded: bool = False, usual: int | None = None) -> FewShapes:
    recorder = Recorder(torch.device("cpu"), torch.float32) if recorded else None
    return FewShapes(work, {ITEM: FULL, OTHER: 2}, QUARTERS, torch.empty(0), recorder, usual)


def batch_of(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, *ITEM, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def as_it_is(batch: Tensor) -> tuple[Tensor, ...]:
    return Work()(batch)


def assert_equal(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def soon() -> float:
    return time.monotonic() + 60


@given(st.integers(1, 5000), st.sampled_from([HALVES, QUARTERS]))
def test_calls_have_four_sizes_at_most_from_a_full_call_down(full: int, parts: Parts) -> None:
    sizes = call_sizes(full, parts)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == full
    assert len(sizes) <= 4
    assert {filled_size(count, sizes) for count in range(full + 1)} == set(sizes)
    assert all(count <= filled_size(count, sizes) for count in range(full + 9))


@given(st.integers(0, 400), st.integers(1, 100), st.sampled_from([HALVES, QUARTERS]))
def test_planned_calls_together_leave_a_quarter_of_a_full_call_empty_at_most(
    count: int, full: int, parts: Parts
) -> None:
    calls = plan_calls(torch.full((count, 1), 7), 7 * full, parts=parts)
    assert [number for call in calls for number in call.tolist()] == list(range(count))
    rows = [filled_size(len(call), call_sizes(full, parts)) for call in calls]
    assert all(size == len(call) for size, call in zip(rows, calls[:-1], strict=False)), "but the last they are full"
    assert sum(rows) - count <= max(full // 4, math.ceil(full / parts[-1]) - 1)


@pytest.mark.parametrize("recorded", [False, True])
@given(counts=st.lists(st.integers(0, FULL), min_size=1, max_size=12))
def test_filled_calls_say_what_the_network_says_and_have_known_shapes(counts: list[int], recorded: bool) -> None:
    work = Work()
    run = few_shapes_of(work, recorded=recorded)
    run.prepare(soon())
    batches = [batch_of(count, seed) for seed, count in enumerate(counts)]
    # All outputs are held to the end: a later replay must not have overwritten them.
    outputs = [run(batch) for batch in batches]
    for batch, output in zip(batches, outputs, strict=True):
        assert_equal(output, as_it_is(batch))
    assert set(work.shapes) == run.shapes == {(size, *ITEM) for size in SIZES} | {(2, *OTHER), (1, *OTHER)}


@pytest.mark.parametrize("recorded", [False, True])
def test_rows_that_fill_a_call_up_do_not_change_the_others(recorded: bool) -> None:
    run = few_shapes_of(Work(), recorded=recorded)
    run.prepare(soon())
    clean = run(batch_of(5))
    run(torch.full((8, *ITEM), torch.nan))  # fills the memory of the recording with what must not be seen
    assert_equal(run(batch_of(5)), clean)
    assert_equal(clean, as_it_is(batch_of(5)))


def test_an_item_that_nobody_told_of_and_more_than_a_full_call_run_as_they_are() -> None:
    work = Work()
    run = few_shapes_of(work)
    run(batch_of(FULL + 1))
    run(torch.randn(2, 3, 8, 40))
    assert work.shapes == [(FULL + 1, *ITEM), (2, 3, 8, 40)]


@pytest.mark.parametrize("recorded", [False, True])
def test_shapes_are_prepared_once_the_most_usual_first_and_of_each_the_largest(recorded: bool) -> None:
    work = Work()
    run = few_shapes_of(work, recorded=recorded)
    assert run.prepare(time.monotonic() - 1) == (0, 5), "nothing begins after the deadline"
    assert run.prepare(soon()) == (5, 0)
    assert list(dict.fromkeys(work.shapes)) == [*((size, *ITEM) for size in SIZES), (2, *OTHER), (1, *OTHER)]
    assert run.prepare(soon()) == (0, 0)


def test_what_is_unusual_is_not_prepared_and_nothing_is_recorded_for_a_call() -> None:
    work = Work()
    run = few_shapes_of(work, recorded=True, usual=1)
    assert run.prepare(soon()) == (len(SIZES), 0)
    before = len(work.shapes)
    for _ in range(3):
        run(torch.randn(2, *OTHER))
    assert work.shapes[before:] == [(2, *OTHER)] * 3


def test_all_recordings_of_a_device_share_one_memory_for_inputs() -> None:
    recorder = Recorder(torch.device("cpu"), torch.float32)
    large = recorder.record(Work(), (8, *ITEM)).batch
    small = recorder.record(Work(), (2, *ITEM)).batch
    assert small.data_ptr() == large.data_ptr()
    assert large.is_contiguous(memory_format=torch.channels_last)


SIDES = st.lists(st.tuples(st.integers(1, 9000), st.integers(1, 9000)), min_size=1, max_size=40)


@given(SIDES, st.integers(64, 3000), st.integers(64, 3000), st.integers(32, 3000), st.integers(32, 1024))
def test_every_canvas_of_text_detection_is_known(
    sizes: list[tuple[int, int]], first_px: int, long_px: int, short_px: int, step_px: int
) -> None:
    settings = TextDetectionSettings(
        detection_first_side_px=first_px,
        detection_long_side_px=long_px,
        detection_short_side_px=short_px,
        detection_canvas_step_px=step_px,
    )
    for side_px in (settings.first_side_px, long_px):
        canvases = canvas_sizes(torch.tensor(sizes), settings, side_px)
        assert set(map(tuple, canvases.tolist())) <= set(all_canvas_sizes(settings))


def test_the_default_settings_allow_few_shapes_the_most_usual_first() -> None:
    """The figures of docs/gpu.md."""
    settings = Settings()
    columns = settings.line_call_columns
    recognition = [call_sizes(full_call(width, columns), HALVES) for width in all_bucket_widths(settings)]
    assert sum(map(len, recognition)) == 184
    assert len(call_sizes(full_call(192, columns), QUARTERS)) == len(call_sizes(settings.page_calls, QUARTERS)) == 4
    canvases = all_canvas_sizes(settings)
    assert len(canvases) == len(set(canvases)) == 412
    pixels = settings.detection_call_pixels
    assert sum(len(call_sizes(full_call(math.prod(canvas), pixels), QUARTERS)) for canvas in canvases) < 1600
    assert {max(canvas) for canvas in canvases[:USUAL_CANVASES]} == {settings.first_side_px}
    assert canvases[:4] == [(736, 1024), (1024, 736), (704, 1024), (1024, 704)]


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=50), st.integers(48, 400), st.integers(320, 5000))
def test_every_width_of_recognition_is_known(widths: list[int], least_px: int, most_px: int) -> None:
    settings = Settings(min_bucket_px=least_px, max_line_px=most_px)
    buckets = bucket_widths(torch.tensor(widths).clamp(max=most_px), settings)
    assert set(buckets.tolist()) <= set(all_bucket_widths(settings))


@given(SIDES)
def test_few_canvases_of_face_proposals_hold_their_tiles(sizes: list[tuple[int, int]]) -> None:
    levels = pyramid(torch.arange(len(sizes)), torch.tensor(sizes), PhotoSettings())
    few, own = tiles_of(levels, few_canvases=True), tiles_of(levels)
    assert set(few.canvases_px.flatten().tolist()) <= set(FEW_SIDES_PX)
    assert bool((few.canvases_px >= 2 * own.counts + 10).all())
    assert math.prod(few.canvases_px.shape) == 0 or few.canvases_px.amax() <= 512
