"""The tables of a run: what docs/outputs.md says of them is what is in them."""

from __future__ import annotations

import csv
import io
import re
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from quintet_client.exports.documents import DocumentPage
from quintet_client.exports.formats import parquet
from quintet_client.exports.formats import tables as comma_separated
from quintet_client.exports.formats.tables import LINE_COLUMNS, PAGE_COLUMNS, WORD_COLUMNS

from tests.unit.exports.made_results import line, page, region, word

OUTPUTS = (Path(__file__).parents[3] / "docs" / "outputs.md").read_text("utf-8")
TOTAL = {**line('Total, "12.50"', region=0), "words": [word("Total,", 104, 220.5), word('"12.50"', 251, 395)]}
READ = page([TOTAL, line("=2+3")], [region("title", 0, 0, 9, 9)])
TABLES = {"pages": PAGE_COLUMNS, "lines": LINE_COLUMNS, "words": WORD_COLUMNS}
PAGES = [
    DocumentPage("a.png", 1, "ok", READ),
    DocumentPage("b.pdf#1", 1, "failed", None, "ENCRYPTED", "a password is needed"),
    DocumentPage("b.pdf#2", 2, "pending"),
    DocumentPage("empty.png", 1, "ok", page()),
]


def write(form, pages, folder):
    """The files of all tables, by their names."""
    paths = [folder / name for name in TABLES]
    with ExitStack() as opened:
        form.write(iter(pages), *(opened.enter_context(path.open("wb")) for path in paths))
    return paths


@pytest.fixture(params=[parquet, comma_separated], ids=["parquet", "csv"])
def tables(request, tmp_path) -> tuple[list[dict], ...]:
    """All tables as a reader sees them."""
    paths = write(request.param, PAGES, tmp_path)
    if request.param is parquet:
        return tuple(pq.read_table(path).to_pylist() for path in paths)
    return tuple(list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""))) for path in paths)


def test_every_page_has_a_row_with_its_end(tables):
    pages, *_ = tables
    assert [(row["page_id"], row["document"], int(row["page"]), row["state"]) for row in pages] == [
        ("a.png", "a.png", 1, "ok"),
        ("b.pdf#1", "b.pdf", 1, "failed"),
        ("b.pdf#2", "b.pdf", 2, "pending"),
        ("empty.png", "empty.png", 1, "ok"),
    ]
    assert pages[1]["code"] == "ENCRYPTED"
    assert pages[0]["text"] == 'Total, "12.50"\n=2+3'


def test_a_blank_page_and_a_failed_one_differ(tables):
    pages, *_ = tables
    nothing = {None, ""}
    assert pages[1]["lines"] in nothing
    assert pages[1]["width_px"] in nothing
    assert int(pages[3]["lines"]) == 0


def test_every_line_has_a_row_with_its_corners(tables):
    _, lines, _ = tables
    assert [(row["page_id"], int(row["line"]), row["text"]) for row in lines] == [
        ("a.png", 0, 'Total, "12.50"'),
        ("a.png", 1, "=2+3"),
    ]
    corners = [float(lines[0][f"{axis}{corner}_px"]) for corner in range(4) for axis in "xy"]
    assert corners == [edge for point in READ.lines[0].quad_px for edge in point]
    assert (int(lines[0]["region"]), lines[0]["label"]) == (0, "title")
    assert lines[1]["region"] in {None, ""}


def test_every_word_that_was_seen_has_a_row_and_none_is_estimated(tables):
    *_, words = tables
    assert [
        (row["page_id"], int(row["line"]), int(row["word"]), row["text"], float(row["score"])) for row in words
    ] == [
        ("a.png", 0, 0, "Total,", 0.75),
        ("a.png", 0, 1, '"12.50"', 0.75),
    ]
    corners = [float(words[0][f"{axis}{corner}_px"]) for corner in range(4) for axis in "xy"]
    assert corners == [104, 100, 220.5, 100, 220.5, 130, 104, 130]


@pytest.mark.parametrize("module", [parquet, comma_separated])
def test_the_same_pages_give_the_same_bytes(module, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write(module, PAGES, tmp_path / name)
    for table in TABLES:
        assert (tmp_path / "first" / table).read_bytes() == (tmp_path / "second" / table).read_bytes()


def test_a_run_without_pages_gives_tables_without_rows(tmp_path):
    for path, columns in zip(write(parquet, [], tmp_path), TABLES.values(), strict=True):
        assert pq.read_table(path).num_rows == 0
        assert pq.read_table(path).column_names == [column.name for column in columns]


def test_many_lines_go_into_several_row_groups(tmp_path):
    many = page([line("x") for _ in range(9000)])
    _, lines, _ = write(parquet, [DocumentPage(f"{at}.png", 1, "ok", many) for at in range(3)], tmp_path)
    file = pq.ParquetFile(lines)
    assert (file.metadata.num_rows, file.metadata.num_row_groups) == (27_000, 2)


@pytest.mark.parametrize("table", TABLES)
def test_the_columns_are_documented_with_their_types_in_their_order(table, tmp_path):
    section = OUTPUTS.split(f"### `{table}`", 1)[1].split("\n#", 1)[0]
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \| (yes|no) \|", section, re.MULTILINE)
    write(parquet, [], tmp_path)
    schema = pq.read_schema(tmp_path / table)
    assert documented == [(field.name, str(field.type), "yes" if field.nullable else "no") for field in schema]
    assert [name for name, *_ in documented] == [column.name for column in TABLES[table]]
