"""The tables of a run: what docs/outputs.md says of them is what is in them."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from quintet_client.exports.documents import DocumentPage
from quintet_client.exports.formats import parquet
from quintet_client.exports.formats import tables as comma_separated
from quintet_client.exports.formats.tables import LINE_COLUMNS, PAGE_COLUMNS

from tests.unit.exports.made_results import line, page, region

OUTPUTS = (Path(__file__).parents[3] / "docs" / "outputs.md").read_text("utf-8")
READ = page([line('Total, "12.50"', region=0), line("=2+3")], [region("title", 0, 0, 9, 9)])
PAGES = [
    DocumentPage("a.png", 1, "ok", READ),
    DocumentPage("b.pdf#1", 1, "failed", None, "ENCRYPTED", "a password is needed"),
    DocumentPage("b.pdf#2", 2, "pending"),
    DocumentPage("empty.png", 1, "ok", page()),
]


def write(form, pages, *paths):
    with paths[0].open("wb") as page_file, paths[1].open("wb") as line_file:
        form.write(iter(pages), page_file, line_file)


@pytest.fixture(params=[parquet, comma_separated], ids=["parquet", "csv"])
def tables(request, tmp_path) -> tuple[list[dict], list[dict]]:
    """Both tables as a reader sees them."""
    paths = tmp_path / "pages", tmp_path / "lines"
    write(request.param, PAGES, *paths)
    if request.param is parquet:
        return tuple(pq.read_table(path).to_pylist() for path in paths)
    return tuple(list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""))) for path in paths)


def test_every_page_has_a_row_with_its_end(tables):
    pages, _ = tables
    assert [(row["page_id"], row["document"], int(row["page"]), row["state"]) for row in pages] == [
        ("a.png", "a.png", 1, "ok"),
        ("b.pdf#1", "b.pdf", 1, "failed"),
        ("b.pdf#2", "b.pdf", 2, "pending"),
        ("empty.png", "empty.png", 1, "ok"),
    ]
    assert pages[1]["code"] == "ENCRYPTED"
    assert pages[0]["text"] == 'Total, "12.50"\n=2+3'


def test_a_blank_page_and_a_failed_one_differ(tables):
    pages, _ = tables
    nothing = {None, ""}
    assert pages[1]["lines"] in nothing
    assert pages[1]["width_px"] in nothing
    assert int(pages[3]["lines"]) == 0


def test_every_line_has_a_row_with_its_corners(tables):
    _, lines = tables
    assert [(row["page_id"], int(row["line"]), row["text"]) for row in lines] == [
        ("a.png", 0, 'Total, "12.50"'),
        ("a.png", 1, "=2+3"),
    ]
    corners = [float(lines[0][f"{axis}{corner}_px"]) for corner in range(4) for axis in "xy"]
    assert corners == [edge for point in READ.lines[0].quad_px for edge in point]
    assert (int(lines[0]["region"]), lines[0]["label"]) == (0, "title")
    assert lines[1]["region"] in {None, ""}


@pytest.mark.parametrize("module", [parquet, comma_separated])
def test_the_same_pages_give_the_same_bytes(module, tmp_path):
    for name in ("first", "second"):
        write(module, PAGES, tmp_path / f"{name}.pages", tmp_path / f"{name}.lines")
    for table in ("pages", "lines"):
        assert (tmp_path / f"first.{table}").read_bytes() == (tmp_path / f"second.{table}").read_bytes()


def test_a_run_without_pages_gives_tables_without_rows(tmp_path):
    write(parquet, [], tmp_path / "pages", tmp_path / "lines")
    assert pq.read_table(tmp_path / "pages").num_rows == 0
    assert pq.read_table(tmp_path / "lines").column_names == [column.name for column in LINE_COLUMNS]


def test_many_lines_go_into_several_row_groups(tmp_path):
    many = page([line("x") for _ in range(9000)])
    pages = [DocumentPage(f"{at}.png", 1, "ok", many) for at in range(3)]
    write(parquet, pages, tmp_path / "pages", tmp_path / "lines")
    file = pq.ParquetFile(tmp_path / "lines")
    assert (file.metadata.num_rows, file.metadata.num_row_groups) == (27_000, 2)


@pytest.mark.parametrize("columns", [PAGE_COLUMNS, LINE_COLUMNS], ids=["pages", "lines"])
def test_the_columns_are_documented_with_their_types_in_their_order(columns, tmp_path):
    table = "pages" if columns is PAGE_COLUMNS else "lines"
    section = OUTPUTS.split(f"### `{table}`", 1)[1].split("\n#", 1)[0]
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \| (yes|no) \|", section, re.MULTILINE)
    write(parquet, [], tmp_path / "pages", tmp_path / "lines")
    schema = pq.read_schema(tmp_path / table)
    assert documented == [(field.name, str(field.type), "yes" if field.nullable else "no") for field in schema]
    assert [name for name, *_ in documented] == [column.name for column in columns]
