from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet.pages.results.columns import column_order, region_order

HEIGHT, PITCH = 24, 28


def _lines(x0: float, y0: float, widths: list[float], pitch: float = PITCH) -> list[list[float]]:
    """Lines under one another, of these widths."""
    return [[x0, y0 + n * pitch, x0 + width, y0 + n * pitch + HEIGHT] for n, width in enumerate(widths)]


def _read(*columns: list[list[float]], tables: dict[int, int] | None = None) -> list[tuple[int, int]]:
    """(column, line) in the order in which they are read, given to it in rows as the service does."""
    named = [(box, (number, line)) for number, column in enumerate(columns) for line, box in enumerate(column)]
    named.sort(key=lambda item: (round(item[0][1] / PITCH), item[0][0]))
    table_of = tables or {}
    regions = [table_of.get(column) for _box, (column, _line) in named]
    labels = [None if region is None else "table" for region in regions]
    boxes = [box for box, _name in named]
    return [named[place][1] for place in column_order(boxes, regions, labels, [""] * len(boxes))]


def _in_turn(*lengths: int) -> list[tuple[int, int]]:
    return [(number, line) for number, length in enumerate(lengths) for line in range(length)]


def test_columns_of_prose_are_read_one_after_the_other_under_their_title() -> None:
    title = _lines(50, 20, [600])
    left, right = _lines(50, 90, [300] * 5 + [90]), _lines(400, 90, [300] * 6)
    assert _read(title, left, right) == _in_turn(1, 6, 6)


def test_three_columns_with_headings_of_their_own_and_a_table_under_them_whose_gutters_are_the_same() -> None:
    columns = [_lines(x, 90, [110, *[260] * 5]) for x in (40, 340, 640)]
    cells = [_lines(x, 290, [100] * 4, pitch=40) for x in (40, 340, 640)]
    order = _read(*columns, *cells)
    assert order[:18] == _in_turn(6, 6, 6)
    assert order[18:] == [(column, row) for row in range(4) for column in (3, 4, 5)]


def test_a_table_is_read_in_rows() -> None:
    columns = [_lines(x, 90, [120] * 8, pitch=40) for x in (40, 300, 560)]
    assert _read(*columns) == [(column, row) for row in range(8) for column in range(3)]


def test_a_form_is_read_in_rows_though_its_entries_are_long_and_layout_calls_them_a_table() -> None:
    labels, entries = _lines(40, 90, [200] * 8, pitch=60), _lines(400, 90, [300] * 8, pitch=60)
    assert _read(labels, entries, tables={1: 5}) == [(column, row) for row in range(8) for column in range(2)]


def test_columns_that_layout_takes_for_a_table_are_columns() -> None:
    left, right = _lines(50, 90, [300] * 6), _lines(400, 90, [300] * 6)
    assert _read(left, right, tables={0: 2, 1: 2}) == _in_turn(6, 6)


def test_a_paragraph_that_layout_takes_for_a_table_ends_with_short_lines() -> None:
    left, right = _lines(50, 90, [300] * 6 + [150, 80]), _lines(400, 90, [300] * 6)
    assert _read(left, right, tables={0: 2, 1: 2}) == _in_turn(8, 6)


def test_a_table_in_one_column_stays_in_it_and_in_rows() -> None:
    left, right = _lines(50, 90, [300] * 4), _lines(400, 90, [300] * 12)
    names, sums = _lines(50, 230, [90] * 4, pitch=40), _lines(250, 230, [60] * 4, pitch=40)
    order = _read(left, right, names, sums, tables={2: 7, 3: 7})
    assert order == [*_in_turn(4), *((c, row) for row in range(4) for c in (2, 3)), *((1, line) for line in range(12))]


def test_what_crosses_the_gutter_ends_the_columns_above_it() -> None:
    upper = _lines(50, 20, [300] * 4), _lines(400, 20, [300] * 4)
    across = _lines(50, 160, [650])
    lower = _lines(50, 220, [300] * 4), _lines(400, 220, [300] * 4)
    assert _read(*upper, across, *lower) == _in_turn(4, 4, 1, 4, 4)


@given(st.lists(st.tuples(st.floats(0, 900), st.floats(0, 900), st.floats(1, 500), st.floats(1, 60)), max_size=40))
def test_every_line_is_read_exactly_once(lines: list[tuple[float, float, float, float]]) -> None:
    boxes = [[x, y, x + width, y + height] for x, y, width, height in lines]
    labels = ("table", "header", "footer", "text")
    regions = [number % 3 if number % 5 else None for number in range(len(lines))]
    texts = [str(number) if number % 2 else "name" for number in range(len(lines))]
    labels_of = [labels[number % 4] if number % 5 else None for number in range(len(lines))]
    assert sorted(column_order(boxes, regions, labels_of, texts)) == list(range(len(lines)))


def test_a_page_made_to_take_long_does_not() -> None:
    boxes = [box for x in (0, 400, 800) for box in _lines(x, 0, [300, 40] * 400, pitch=30)]
    boxes.sort(key=lambda box: (box[1], box[0]))
    nothing = [None] * len(boxes)
    assert len(column_order(boxes, nothing, nothing, [""] * len(boxes))) == 2400


BUYER = ["Buyer", "Anna Novak", "12 Mill Road", "Oxford 12345"]
SELLER = ["Seller", "Oscar Hughes", "9 Park Avenue", "Leeds 82999"]
BESIDE = [0, 2, 4, 6, 1, 3, 5, 7]


@pytest.mark.parametrize(
    ("left", "right", "pitch", "label", "order"),
    [
        (BUYER, SELLER, PITCH, "text", BESIDE),
        (BUYER, SELLER, 2 * PITCH, "text", range(8)),
        (BUYER, SELLER, PITCH, "table", range(8)),
        (["Name", "Street", "City", "Country"], BUYER, PITCH, "text", range(8)),
        (BUYER, ["4.00", "7.50", "12.90", "1.20"], PITCH, "text", range(8)),
    ],
    ids=["addresses", "wide apart", "a table", "labels and values", "names and numbers"],
)
def test_addresses_side_by_side_are_read_one_after_the_other(left, right, pitch, label, order) -> None:
    columns = _lines(50, 90, [100] * 4, pitch), _lines(400, 90, [100] * 4, pitch)
    boxes = [box for pair in zip(*columns, strict=True) for box in pair]
    texts = [text for pair in zip(left, right, strict=True) for text in pair]
    assert column_order(boxes, [0, 1] * 4, [label] * 8, texts) == list(order)


def test_two_cells_a_row_in_one_region_are_no_address() -> None:
    boxes = [box for pair in zip(*(_lines(x, 90, [100] * 4) for x in (50, 200, 400, 600)), strict=True) for box in pair]
    texts = [text for four in zip(BUYER, SELLER, BUYER, SELLER, strict=True) for text in four]
    assert column_order(boxes, [0, 0, 1, 1] * 4, ["text"] * 16, texts) == list(range(16))


def test_headers_and_footers_belong_to_no_column() -> None:
    boxes = [[50, 20, 200, 44], [500, 20, 700, 44]]  # a journal's name and a page number, a line above the columns
    boxes += [
        box for n in range(5) for box in ([50, 50 + n * 28, 350, 74 + n * 28], [400, 50 + n * 28, 700, 74 + n * 28])
    ]
    boxes += [[60, 190, 110, 214], [600, 190, 650, 214]]
    regions, labels = [0, 0, *[None] * 10, 1, 1], ["header"] * 2 + [None] * 10 + ["footer"] * 2
    assert column_order(boxes, regions, labels, [""] * 14) == [0, 1, 2, 4, 6, 8, 10, 3, 5, 7, 9, 11, 12, 13]


def test_regions_stand_in_the_order_of_their_lines_and_a_figure_before_its_caption() -> None:
    lines = [[50, 20, 350, 44], [50, 300, 350, 324], [400, 20, 700, 44]]
    regions = [[390, 10, 710, 50], [40, 60, 360, 290], [40, 295, 360, 330], [40, 10, 360, 50], [400, 900, 700, 990]]
    assert region_order(regions, lines, [3, 2, 0]) == [3, 1, 2, 0, 4]
