from __future__ import annotations

import torch
from quintet.reading_order import assign_regions, reading_order


def test_rows_go_down_the_page_and_each_from_left_to_right() -> None:
    boxes = torch.tensor(
        [[300, 12, 400, 32], [10, 10, 90, 30], [10, 50, 90, 70], [120, 8, 200, 28]], dtype=torch.float32
    )
    assert reading_order(boxes, torch.zeros(4, dtype=torch.int64)).tolist() == [1, 3, 0, 2]


def test_pages_come_one_after_the_other() -> None:
    boxes = torch.tensor([[10, 90, 90, 110], [10, 10, 90, 30], [10, 10, 90, 30]], dtype=torch.float32)
    assert reading_order(boxes, torch.tensor([0, 0, 1])).tolist() == [1, 0, 2]


def test_the_order_of_the_input_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(5)
    corners = torch.rand(40, 2, generator=generator) * 900
    boxes = torch.cat([corners, corners + torch.tensor([80.0, 20.0])], dim=1)
    page = torch.randint(0, 3, (40,), generator=generator)
    shuffled = torch.randperm(40, generator=generator)
    assert torch.equal(
        boxes[reading_order(boxes, page)], boxes[shuffled][reading_order(boxes[shuffled], page[shuffled])]
    )


def test_nothing_is_in_order() -> None:
    assert reading_order(torch.empty(0, 4), torch.empty(0, dtype=torch.int64)).shape == (0,)


def test_a_point_belongs_to_the_smallest_region_of_its_own_page() -> None:
    boxes = torch.tensor([[0, 0, 100, 100], [10, 10, 50, 50], [0, 0, 100, 100]], dtype=torch.float32)
    points = torch.tensor([[20, 20], [80, 80], [20, 20], [200, 20]], dtype=torch.float32)
    regions = assign_regions(points, torch.tensor([0, 0, 1, 1]), boxes, torch.tensor([0, 0, 1]))
    assert regions.tolist() == [1, 0, 2, -1]


def test_without_regions_no_point_has_one() -> None:
    none = assign_regions(torch.rand(3, 2), torch.zeros(3, dtype=torch.int64), torch.empty(0, 4), torch.empty(0).long())
    assert none.tolist() == [-1, -1, -1]
