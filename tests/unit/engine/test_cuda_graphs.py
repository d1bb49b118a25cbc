"""Calls that replay recordings: on a CPU, where the replay is the network itself over the recording's memory."""

from __future__ import annotations

import functools
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quintet.engine import cuda_graphs
from quintet.engine.cuda_graphs import CudaGraphs, Recorder, counts_up_to, padded_count
from torch import Tensor, nn

ITEM = (3, 8, 16)
MOST = 11


@functools.cache
def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval()


class Work:
    """A network of two outputs that counts its calls and notes their sizes."""

    def __init__(self) -> None:
        self.network = network()
        self.sizes: list[int] = []

    def __call__(self, batch: Tensor) -> tuple[Tensor, ...]:
        self.sizes.append(len(batch))
        output = self.network(batch)
        return output, output.argmax(dim=1).int()


def graphs_of(work: Work, most: int = MOST) -> CudaGraphs:
    recorder = Recorder(torch.device("cpu"), torch.float32)
    return CudaGraphs(work, recorder, {ITEM: most})


def batch_of(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, *ITEM, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def eagerly(batch: Tensor) -> tuple[Tensor, ...]:
    return Work()(batch)


def assert_equal(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@given(st.lists(st.integers(1, MOST), min_size=1, max_size=12))
def test_replays_say_what_the_network_says(counts: list[int]) -> None:
    run = graphs_of(Work())
    batches = [batch_of(count, seed) for seed, count in enumerate(counts)]
    # All outputs are held to the end: a later replay must not have overwritten them.
    outputs = [run(batch) for batch in batches]
    for batch, output in zip(batches, outputs, strict=True):
        assert_equal(output, eagerly(batch))


def test_rows_that_fill_a_call_up_do_not_change_the_others() -> None:
    run = graphs_of(Work())
    run.record_all(time.monotonic() + 60)
    clean = run(batch_of(5))
    run(torch.full((8, *ITEM), torch.nan))  # fills the memory of the recording with what must not be seen
    assert_equal(run(batch_of(5)), clean)
    assert_equal(clean, eagerly(batch_of(5)))


def test_calls_are_filled_up_to_powers_of_two_and_never_beyond_a_full_call() -> None:
    assert [padded_count(count, 11) for count in range(1, 12)] == [1, 2, 4, 4, 8, 8, 8, 8, 11, 11, 11]
    assert counts_up_to(11) == [1, 2, 4, 8, 11]
    assert counts_up_to(1) == [1]
    assert counts_up_to(64) == [1, 2, 4, 8, 16, 32, 64]


def test_a_shape_is_recorded_when_it_comes_a_second_time() -> None:
    work = Work()
    run = graphs_of(work)
    run(batch_of(5))
    assert run.recorded == ()
    run(batch_of(7))
    assert run.recorded == ((8, *ITEM),)
    assert work.sizes[0] == 5
    assert set(work.sizes[1:]) == {8}


def test_a_shape_that_is_not_worth_a_recording_runs_as_it_is() -> None:
    work = Work()
    run = graphs_of(work)
    for _ in range(3):
        run(batch_of(MOST + 1))
        run(torch.randn(2, 3, 8, 24))
        assert run(batch_of(0))[0].shape == (0, 20)
    assert run.recorded == ()
    assert work.sizes == [MOST + 1, 2, 0] * 3


def test_everything_can_be_recorded_before_the_first_call() -> None:
    work = Work()
    run = graphs_of(work)
    assert run.record_all(time.monotonic() + 60) == 0
    assert sorted(shape[0] for shape in run.recorded) == counts_up_to(MOST)
    assert work.sizes == sorted(work.sizes, reverse=True), "the largest come first, so that the others fit in"
    assert run.record_all(time.monotonic() + 60) == 0
    run(batch_of(3))
    assert work.sizes[-1] == 4


def test_recording_ends_when_its_time_is_over() -> None:
    run = graphs_of(Work())
    assert run.record_all(time.monotonic() - 1) == len(counts_up_to(MOST))
    assert run.recorded == ()


def test_all_recordings_of_a_device_share_one_memory_for_inputs() -> None:
    recorder = Recorder(torch.device("cpu"), torch.float32)
    large = recorder.record(Work(), (8, *ITEM)).batch
    small = recorder.record(Work(), (2, *ITEM)).batch
    assert small.data_ptr() == large.data_ptr()
    assert large.is_contiguous(memory_format=torch.channels_last)


def test_recordings_are_bounded_and_what_has_none_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graphs, "MOST_RECORDINGS", 2)
    run = graphs_of(Work())
    for count in (1, 1, 2, 2, 4, 4):
        run(batch_of(count))
    assert [shape[0] for shape in run.recorded] == [1, 2]
    assert_equal(run(batch_of(4)), eagerly(batch_of(4)))
    assert run.record_all(time.monotonic() + 60) == 3, "there is no room for 4, 8 and 11"
    assert_equal(run(batch_of(1)), eagerly(batch_of(1)))
