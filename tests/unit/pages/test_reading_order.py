from __future__ import annotations

import math

import pytest
import torch
from quintet.pages.results.reading_order import assign_regions, in_rows, level
from quintet.tensors.geometry import box_corners


def test_rows_go_down_the_page_and_each_from_left_to_right() -> None:
    boxes = torch.tensor(
        [[300, 12, 400, 32], [10, 10, 90, 30], [10, 50, 90, 70], [120, 8, 200, 28]], dtype=torch.float32
    )
    assert in_rows(boxes, torch.zeros(4, dtype=torch.int64)).tolist() == [1, 3, 0, 2]


def test_pages_come_one_after_the_other() -> None:
    boxes = torch.tensor([[10, 90, 90, 110], [10, 10, 90, 30], [10, 10, 90, 30]], dtype=torch.float32)
    assert in_rows(boxes, torch.tensor([0, 0, 1])).tolist() == [1, 0, 2]


def test_the_order_of_the_input_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(5)
    corners = torch.rand(40, 2, generator=generator) * 900
    boxes = torch.cat([corners, corners + torch.tensor([80.0, 20.0])], dim=1)
    page = torch.randint(0, 3, (40,), generator=generator)
    shuffled = torch.randperm(40, generator=generator)
    assert torch.equal(boxes[in_rows(boxes, page)], boxes[shuffled][in_rows(boxes[shuffled], page[shuffled])])


def test_nothing_is_in_order() -> None:
    assert in_rows(torch.empty(0, 4), torch.empty(0, dtype=torch.int64)).shape == (0,)


@pytest.mark.parametrize("skew_deg", [-3.0, 0.0, 2.0])
def test_rows_of_a_page_that_lies_askew_are_levelled(skew_deg: float) -> None:
    boxes = torch.tensor([[x, y, x + 200, y + 30] for y in range(100, 900, 40) for x in (50, 500, 900)]).float()
    radians = math.radians(skew_deg)
    turn = torch.tensor([[math.cos(radians), -math.sin(radians)], [math.sin(radians), math.cos(radians)]])
    straight = torch.tensor([[0.0, 0.0, 100.0, 20.0]])  # alone on a page of its own
    quads = torch.cat([box_corners(boxes) @ turn.T, box_corners(straight)])
    page = torch.tensor([0] * len(boxes) + [1])
    levelled = level(quads, page, 2)
    assert torch.allclose(levelled[:-1], boxes, atol=0.01)
    assert torch.allclose(levelled[-1:], straight, atol=0.01)
    assert in_rows(levelled, page).tolist() == list(range(len(boxes) + 1))


def test_levelling_is_the_same_to_the_last_bit_in_whatever_order_lines_are_added_up() -> None:
    generator = torch.Generator().manual_seed(11)
    corners = torch.rand(500, 2, generator=generator) * 2000
    sizes = torch.rand(500, 2, generator=generator) * torch.tensor([900.0, 40.0]) + 5
    skewed = torch.tensor([[0.9998, -0.02], [0.02, 0.9998]])
    quads = box_corners(torch.cat([corners, corners + sizes], dim=1)) @ skewed
    page = torch.randint(0, 3, (500,), generator=generator)
    levelled = level(quads, page, 3)
    for _ in range(5):
        shuffled = torch.randperm(500, generator=generator)
        assert torch.equal(level(quads[shuffled], page[shuffled], 3), levelled[shuffled])


def test_text_that_runs_up_the_margin_turns_no_page() -> None:
    quads = torch.tensor([[[10, 400], [10, 100], [40, 100], [40, 400]], [[100, 50], [300, 50], [300, 80], [100, 80]]])
    levelled = level(quads.float(), torch.tensor([0, 0]), 1)
    assert levelled.tolist() == [[10, 100, 40, 400], [100, 50, 300, 80]]


def test_a_page_without_lines_is_level() -> None:
    assert level(torch.empty(0, 4, 2), torch.empty(0).long(), 3).shape == (0, 4)


def test_a_point_belongs_to_the_smallest_region_of_its_own_page() -> None:
    boxes = torch.tensor([[0, 0, 100, 100], [10, 10, 50, 50], [0, 0, 100, 100]], dtype=torch.float32)
    points = torch.tensor([[20, 20], [80, 80], [20, 20], [200, 20]], dtype=torch.float32)
    regions = assign_regions(points, torch.tensor([0, 0, 1, 1]), boxes, torch.tensor([0, 0, 1]))
    assert regions.tolist() == [1, 0, 2, -1]


def test_without_regions_no_point_has_one() -> None:
    none = assign_regions(torch.rand(3, 2), torch.zeros(3, dtype=torch.int64), torch.empty(0, 4), torch.empty(0).long())
    assert none.tolist() == [-1, -1, -1]
