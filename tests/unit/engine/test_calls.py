from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from quintet.engine.calls import in_batches, plan_calls
from quintet.pages.settings import Settings
from quintet.pages.stages.recognition import bucket_widths, most_confident
from quintet.stages.text_detection import canvas_sizes

SIDE = st.integers(1, 4000)


@given(st.lists(st.tuples(SIDE, SIDE), max_size=60), st.integers(1, 10**7))
def test_every_item_is_in_one_call_with_equals_and_within_the_budget(sizes: list[tuple[int, int]], budget: int) -> None:
    table = torch.tensor(sizes, dtype=torch.int64).view(-1, 2)
    calls = plan_calls(table, budget)
    assert sorted(number for call in calls for number in call.tolist()) == list(range(len(sizes)))
    for call in calls:
        assert len(table[call].unique(dim=0)) == 1
        assert len(call) == 1 or int(table[call].prod(dim=1).sum()) <= budget


def test_larger_sizes_come_first_so_that_calls_side_by_side_end_together() -> None:
    widths = torch.tensor([[192], [640], [320], [640]])
    assert [call.tolist() for call in plan_calls(widths, 640)] == [[1], [3], [2], [0]]


@given(st.integers(0, 200), st.integers(1, 5000))
def test_few_sizes_are_powers_of_four_within_the_budget(count: int, budget: int) -> None:
    widths = torch.full((count, 1), 64)
    calls = plan_calls(widths, budget, few_sizes=True)
    assert [number for call in calls for number in call.tolist()] == list(range(count))
    sizes = [len(call) for call in calls]
    largest = max(size for size in (1, 4, 16, 64) if size <= max(1, budget // 64))
    assert set(sizes) <= {1, 4, 16, 64}
    assert sizes == sorted(sizes, reverse=True)
    assert sizes.count(largest) == count // largest
    assert all(sizes.count(size) <= 3 for size in (1, 4, 16) if size < largest)


@given(st.lists(st.integers(1, 100), max_size=50), st.integers(1, 150))
def test_batches_keep_the_order_and_the_budget(pixels: list[int], budget: int) -> None:
    batches = [pixels[part] for part in in_batches(pixels, budget)]
    assert [count for batch in batches for count in batch] == pixels
    assert all(len(batch) == 1 or sum(batch) <= budget for batch in batches)
    assert all(batch for batch in batches)


@given(st.lists(st.integers(1, 3200), min_size=1, max_size=50))
def test_buckets_hold_their_lines_with_an_eighth_of_padding_at_most(widths: list[int]) -> None:
    settings = Settings()
    buckets = bucket_widths(torch.tensor(widths), settings)
    for width, bucket in zip(widths, buckets.tolist(), strict=True):
        wanted = max(width, settings.min_bucket_px)
        assert wanted <= bucket <= wanted * 1.125 + 8
        assert bucket % 8 == 0


@given(
    st.lists(st.tuples(st.integers(10, 9000), st.integers(10, 9000)), min_size=1, max_size=30),
    st.sampled_from((1024, 1280)),
)
def test_a_canvas_depends_on_its_page_alone_and_stays_within_the_long_side(
    sizes: list[tuple[int, int]], side_px: int
) -> None:
    settings = Settings()
    together = canvas_sizes(torch.tensor(sizes), settings, side_px)
    alone = torch.cat([canvas_sizes(torch.tensor([size]), settings, side_px) for size in sizes])
    assert torch.equal(together, alone)
    assert int(together.max()) <= side_px
    assert int((together % settings.detection_canvas_step_px).sum()) == 0
    assert int(together.min()) >= settings.detection_canvas_step_px


def test_the_more_confident_reading_is_kept() -> None:
    line = torch.tensor([0, 1, 2, 1, 2])
    assert most_confident(line, torch.tensor([0.9, 0.3, 0.8, 0.6, 0.8]), 3).tolist() == [0, 3, 2]
    assert most_confident(line[:0], torch.empty(0), 0).tolist() == []
