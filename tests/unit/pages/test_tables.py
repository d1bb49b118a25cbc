from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st
from quintet.pages.results.tables import Row, tables_of

HEIGHT, PITCH = 30.0, 50.0


def _told(*rows: list[tuple[float, float]], labels: dict[int, str] | None = None, **moved: float) -> list[list[Row]]:
    """The rows of the tables of one page: rows of (x, width), all in a table but the lines that have another label."""
    boxes = [[x, PITCH * n, x + width, PITCH * n + HEIGHT] for n, row in enumerate(rows) for x, width in row]
    for name, y in moved.items():
        number = int(name.removeprefix("line"))
        boxes[number][1::2] = y, y + HEIGHT
    label_of = {number: (labels or {}).get(number, "table") for number in range(len(boxes))}
    regions = [0 if label == "table" else None if label == "none" else 1 for label in label_of.values()]
    return [table for _region, table in tables_of(boxes, regions, list(label_of.values()))]


ITEMS = [[(0, 60), (300, 100), (500, 80)], [(0, 200), (360, 40), (510, 70)], [(0, 90), (340, 60), (510, 70)]]
CELLS = [[[0], [1], [2]], [[3], [4], [5]], [[6], [7], [8]]]


def test_cells_are_told_by_rows_and_gaps_and_a_totals_label_lies_over_two_columns() -> None:
    assert _told(*ITEMS) == [CELLS]
    assert _told(*ITEMS, [(360, 165), (560, 20)]) == [[*CELLS, [[], [9], [10]]]]


def test_lines_of_one_cell_are_in_it_together_and_cells_may_be_empty() -> None:
    assert _told(*ITEMS[:2], [(0, 60), (70, 60), (510, 70)]) == [[*CELLS[:2], [[6, 7], [], [8]]]]


def test_a_table_begins_and_ends_with_a_row_of_several_cells() -> None:
    assert _told([(100, 200)], *ITEMS, [(0, 200)], [(0, 150)]) == [
        [[[place + 1 for place in cell] for cell in row] for row in CELLS]
    ]


def test_a_head_outside_the_region_belongs_to_the_table_however_layout_calls_it() -> None:
    for label in ("table_caption", "text", "none"):
        assert _told(*ITEMS, labels=dict.fromkeys(range(3), label)) == [CELLS], label
        assert _told(*ITEMS, labels={0: label}) == [CELLS], label
    assert _told(*ITEMS, labels={2: "table_caption"}) == [CELLS]  # read amidst the table
    assert _told(*ITEMS, labels=dict.fromkeys(range(3), "header")) == [[[[3], [4], [5]], [[6], [7], [8]]]]
    far_above = dict.fromkeys(("line0", "line1", "line2"), -100.0)
    assert _told(*ITEMS, labels=dict.fromkeys(range(3), "text"), **far_above) == [[[[3], [4], [5]], [[6], [7], [8]]]]


def test_what_is_no_table_is_not_told() -> None:
    assert _told(ITEMS[0]) == []
    assert _told([(0, 60)], [(0, 60)], [(0, 60)]) == []
    assert _told([(0, 300)], [(0, 300)], [(0, 100), (200, 50)], [(0, 300)]) == []  # a list with one number
    assert _told([(0, 300), (290, 300)], [(0, 300), (295, 300)]) == []  # no gap
    assert _told(*ITEMS, labels={4: "figure"}) == []  # another line is read amidst it


def test_columns_of_prose_that_layout_takes_for_a_table_are_none() -> None:
    boxes = [[x, 30 * n, x + 300, 30 * n + 28] for x in (0, 400) for n in range(6)]  # as they are read
    assert tables_of(boxes, [0] * 12, ["table"] * 12) == []


boxes = st.tuples(st.floats(0, 900), st.floats(0, 900), st.floats(1, 500), st.floats(1, 60))


@given(st.lists(boxes, max_size=40), st.lists(st.sampled_from(["table", "table_caption", "text", None]), min_size=40))
def test_whatever_lines_there_are_each_is_in_one_cell_at_most_and_rows_are_equally_long(lines, labels) -> None:
    lines.sort(key=lambda line: line[1])
    quads = [[x, y, x + width, y + height] for x, y, width, height in lines]
    labels = labels[: len(lines)]
    regions = [None if label is None else number % 2 * 4 + len(label) for number, label in enumerate(labels)]
    tables = tables_of(quads, regions, labels)
    places = [place for _region, rows in tables for row in rows for cell in row for place in cell]
    assert len(places) == len(set(places))
    assert set(places) <= set(range(len(lines)))
    assert all(len({len(row) for row in rows}) == 1 for _region, rows in tables)


def test_a_table_made_to_take_long_does_not_and_has_no_more_than_four_cells_a_line() -> None:
    lines = [[40.0 * n, 50.0 * row, 40.0 * n + 30, 50.0 * row + 30] for row in range(200) for n in range(20)]
    lines += [[0.0, 50.0 * row, 30.0, 50.0 * row + 30] for row in range(200, 260)]
    start = time.process_time()
    ((_region, rows),) = tables_of(lines, [0] * len(lines), ["table"] * len(lines))
    assert time.process_time() - start < 2
    assert sum(map(len, rows)) <= 4 * len(lines)
