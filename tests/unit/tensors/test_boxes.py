from __future__ import annotations

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from quintet.tensors.boxes import best_of_each, drop_nested, nms


def crowd(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes that overlap a lot, their scores, and which of seven groups each is in."""
    draw = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=draw) * 300
    boxes = torch.cat([corner, corner + 5 + torch.rand(count, 2, generator=draw) * 80], dim=1)
    return boxes, torch.rand(count, generator=draw), torch.randint(0, 7, (count,), generator=draw)


def greedy(boxes: list[list[float]], scores: list[float], threshold: float) -> set[int]:
    """Non-maximum suppression by the smaller area, one box after another."""
    kept: list[int] = []
    for number in sorted(range(len(boxes)), key=lambda n: -scores[n]):
        if all(shared(boxes[number], boxes[other]) <= threshold for other in kept):
            kept.append(number)
    return set(kept)


def shared(a: list[float], b: list[float]) -> float:
    sides = [max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1)]
    return sides[0] * sides[1] / min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))


@given(st.integers(0, 10_000), st.integers(0, 120))
def test_nested_boxes_are_dropped_as_one_after_another_would_within_each_group(seed: int, count: int) -> None:
    boxes, scores, group = crowd(seed, count)
    kept = drop_nested(boxes, scores, group, 0.7)
    assert group[kept].tolist() == sorted(group[kept].tolist())
    for number in range(7):
        own = (group == number).nonzero().squeeze(1)
        expected = greedy(boxes[own].tolist(), scores[own].tolist(), 0.7)
        assert set(kept[group[kept] == number].tolist()) == {int(own[place]) for place in expected}


def test_a_dropped_box_drops_none_however_long_the_chain() -> None:
    steps = torch.arange(40.0)  # each shares 3/4 with the next, and 1/2 with the one after it
    boxes = torch.stack([steps, torch.zeros(40), steps + 4, torch.ones(40)], dim=1)
    kept = drop_nested(boxes, 1 - steps / 40, torch.zeros(40, dtype=torch.int64), 0.7)
    assert kept.tolist() == list(range(0, 40, 2))


def test_nms_of_groups_is_nms_of_each_even_far_from_the_origin() -> None:
    boxes, scores, group = crowd(3, 400)
    kept = nms(boxes + 20_000, scores, group * 1000, 0.5)
    assert set(kept.tolist()) == set(torchvision.ops.batched_nms(boxes, scores, group, 0.5).tolist())
    assert (scores[kept].diff() <= 0).all()


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_the_best_of_each_group_are_kept(most: int) -> None:
    _, scores, group = crowd(5, 60)
    kept = best_of_each(scores, group, most)
    for number in range(7):
        own = scores[group == number].sort(descending=True).values[:most]
        assert scores[kept[group[kept] == number]].tolist() == own.tolist()


def test_no_boxes_are_fine() -> None:
    boxes, scores, group = crowd(0, 0)
    assert [len(nms(boxes, scores, group, 0.5)), len(drop_nested(boxes, scores, group, 0.5))] == [0, 0]
    assert len(best_of_each(scores, group, 5)) == 0
