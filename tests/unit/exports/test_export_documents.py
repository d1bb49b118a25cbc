"""What is exported together, under which name, with which text; words and blocks."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet_client.errors import UsageError
from quintet_client.exports.documents import clean, have_ended, in_documents, load_page
from quintet_client.exports.layout.blocks import blocks_of, turned_upright
from quintet_client.exports.layout.words import runs_leftward, words_of
from quintet_client.input.page_ids import derived, document_of, page_id_of, page_place
from quintet_client.output.folder import Output
from quintet_client.output.formats import FORMATS, NAMES, choose, split_names
from quintet_client.output.ledger import Ledger, Row

from tests.unit.exports.made_results import answer, line, page, region, with_turn, word


@pytest.mark.parametrize(
    ("page_id", "place"),
    [
        ("scan.png", ("scan.png", 1)),
        ("a/b.pdf#1", ("a/b.pdf", 1)),
        ("a/b.PDF#12", ("a/b.PDF", 12)),
        ("fax.tiff#3", ("fax.tiff", 3)),
        ("a.pdf#2.tif#7", ("a.pdf#2.tif", 7)),
        ("photo#3", ("photo#3", 1)),
        ("photo.png#3", ("photo.png#3", 1)),
        ("a.pdf#0", ("a.pdf#0", 1)),
        ("a.pdf#", ("a.pdf#", 1)),
        ("a.pdf", ("a.pdf", 1)),
        ("long%~" + "0a" * 16 + "#4", ("long%~" + "0a" * 16, 4)),
    ],
)
def test_a_page_belongs_to_the_file_before_its_number_if_that_has_pages(page_id, place):
    assert page_place(page_id) == place


def test_pages_of_a_document_stand_in_page_order_beside_their_neighbours(tmp_path):
    ids = ["b.pdf#10", "b.pdf#9", "b.pdf#1x.png", "a.png", "b.pdf#2"]
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        ledger.record(Row(page_id, "ok") for page_id in ids)
        grouped = [(name, [row.page_id for row in rows]) for name, rows in in_documents(ledger.rows_by_document())]
        assert ledger.count_documents() == len(grouped)
    assert grouped == [
        ("a.png", ["a.png"]),
        ("b.pdf", ["b.pdf#2", "b.pdf#9", "b.pdf#10"]),
        ("b.pdf#1x.png", ["b.pdf#1x.png"]),
    ]


def test_a_document_has_ended_with_its_last_page():
    assert have_ended([Row("a.pdf#1", "ok"), Row("a.pdf#2", "failed")])
    assert not have_ended([Row("a.pdf#1", "ok"), Row("a.pdf#2", "sent")])


def test_the_ledger_finds_the_rows_of_a_document_and_no_neighbours(tmp_path):
    ids = ["a.pdf", "a.pdf#1", "a.pdf#10", "a.pdf$", "a.pdf.png", "b.pdf#1"]
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        ledger.record(Row(page_id, "ok") for page_id in ids)
        assert [row.page_id for row in ledger.rows_of("a.pdf")] == ["a.pdf", "a.pdf#1", "a.pdf#10"]
        assert [row.page_id for row in ledger.all_rows()] == sorted(ids)


def test_the_ledger_remembers_inputs_with_the_latest_last(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.inputs() == []
        for path in ("/in", "/b\udcff", "/in"):
            ledger.add_input(path)
        assert ledger.inputs() == ["/b\udcff", "/in"]


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=2, max_size=4, unique=True
    )
)
def test_exports_of_distinct_pages_have_distinct_names_and_are_no_folders_of_each_other(paths):
    pages = {page_id_of(path) for path in [*paths, f"{paths[0]}.txt/{paths[1]}"]}
    names = {derived(page_id, ".txt") for page_id in pages}
    assert len(names) == len(pages)
    folders = {name[:place] for name in names for place, sign in enumerate(name) if sign == "/"}
    assert not folders & names


@given(st.text(st.characters()))
def test_clean_text_is_one_line_that_xml_can_hold_and_cleaning_it_again_changes_nothing(text):
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    cleaned.encode()
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in cleaned)


def test_what_no_format_can_hold_is_replaced_and_the_words_around_it_stay():
    assert clean(" a\tb\n\x00c \ud800 d\u2028e \ufffe ") == "a b \ufffdc \ufffd d e \ufffd"


@pytest.mark.parametrize(
    "broken",
    [
        b"{",
        b"[]",
        b"{}",
        answer(schema="no version"),
        answer([{**line("x"), "quad_px": [[0, 0], [1, 1]]}]),
        answer(regions=[region("text", 1, 2, 3)]),
    ],
)
def test_a_result_of_another_form_is_failed(tmp_path, broken):
    output = Output(tmp_path)
    output.write_page("a", broken)
    found = load_page(Row("a", "ok", output_bytes=len(broken)), output)
    assert (found.state, found.code, found.page) == ("failed", "BAD_ANSWER", None)


def test_a_result_that_is_missing_or_cut_is_pending_and_one_of_another_schema_as_it_is(tmp_path):
    output = Output(tmp_path)
    body, other = answer([line("x")]), answer(schema="zoo.animal/2", legs=4)
    for name, content in (("whole", body), ("cut", body[:-1]), ("other", other)):
        output.write_page(name, content)
    rows = {name: Row(name, "ok", output_bytes=len(body)) for name in ("whole", "cut", "gone")}
    rows["other"] = Row("other", "ok", output_bytes=len(other))
    rows["failed"] = Row("failed", "failed", code="EMPTY_BODY")
    found = {name: load_page(row, output) for name, row in rows.items()}
    states = {name: page.state for name, page in found.items()}
    assert states == {"whole": "ok", "cut": "pending", "gone": "pending", "other": "ok", "failed": "failed"}
    assert (found["whole"].schema, found["whole"].answer) == ("quintet.page/1", body)
    assert (found["other"].schema, found["other"].page, found["other"].answer) == ("zoo.animal/2", None, other)


def test_formats_come_once_and_in_one_order_and_unknown_ones_are_named():
    assert [form.name for form in choose(split_names("csv, txt,csv"))] == ["txt", "csv"]
    with pytest.raises(UsageError, match=r"'docx'.*txt,md"):
        choose(["txt", "docx"])


def test_a_missing_package_is_named_with_what_brings_it(monkeypatch):
    monkeypatch.setattr("quintet_client.output.formats.find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"pikepdf.*quintet\[export\]"):
        choose(["pdf"])
    assert choose(["txt", "md", "hocr", "alto", "csv"])


def test_formats_differ_in_name_and_suffix():
    assert len({form.suffix for form in FORMATS}) == len(NAMES) == len(set(NAMES))


def test_words_are_those_that_the_service_saw_if_they_are_those_of_the_text():
    seen = [word("Total", 104, 220), word("12.50", 251, 395)]
    (made,) = page([{**line("Total  12.50"), "words": seen}]).lines
    assert words_of(made) == made.words
    assert [(found.text, found.score, found.quad_px[0]) for found in made.words] == [
        ("Total", 0.75, (104, 100)),
        ("12.50", 0.75, (251, 100)),
    ]
    (other,) = page([{**line("Total 12.50"), "words": seen[:1]}]).lines
    assert other.words == ()
    assert [found.text for found in words_of(other)] == ["Total", "12.50"]


def test_words_of_a_result_without_any_are_estimated_by_the_number_of_characters():
    (made,) = page([line("iii mmm", x=0, width=700)]).lines
    assert [(found.quad_px[0][0], found.quad_px[1][0], found.score) for found in words_of(made)] == [
        (0, pytest.approx(300), made.score),
        (pytest.approx(400), pytest.approx(700), made.score),
    ]


@given(st.text(), st.floats(1, 5000))
def test_estimated_words_are_the_lines_words_side_by_side_within_the_line(text, width):
    made = page([line(text, x=50, width=width)]).lines[0]
    words = words_of(made)
    assert [word.text for word in words] == made.text.split()
    spans = sorted((min(x for x, _ in word.quad_px), max(x for x, _ in word.quad_px)) for word in words)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert not words or (abs(edges[0] - 50) < 1e-6 * width and abs(edges[-1] - 50 - width) < 1e-6 * width)


def test_words_of_right_to_left_lines_stand_from_right_to_left():
    hebrew = words_of(page([line("שלום עולם 12")]).lines[0])
    assert [runs_leftward(word.text) for word in hebrew] == [True, True, False]
    assert hebrew[0].quad_px[0][0] > hebrew[1].quad_px[0][0] > hebrew[2].quad_px[0][0]
    mixed = words_of(page([line("see שלום עולם here")]).lines[0])
    assert [word.text for word in sorted(mixed, key=lambda word: word.quad_px[0])] == ["see", "עולם", "שלום", "here"]


def test_every_line_is_in_one_block_and_a_regions_lines_stand_together():
    lines = [line("a", region=1), line("b"), line("c"), line("d", region=1), line("e", region=0), line("f")]
    regions = [region("text", 0, 0, 9, 9), region("table", 0, 0, 9, 9), region("figure", 0, 0, 9, 9)]
    blocks = blocks_of(page(lines, regions))
    assert [("".join(one.text for one in block.lines), block.region) for block in blocks] == [
        ("ad", 1), ("bc", None), ("e", 0), ("f", None), ("", 2),
    ]  # fmt: skip


def test_a_region_index_out_of_range_counts_as_none():
    assert page([line("a", region=5)]).lines[0].region is None


@pytest.mark.parametrize("angle_deg", [0, 90, 180, 270])
def test_turning_a_turned_page_upright_gives_the_upright_page(angle_deg):
    size = (800, 1000)
    upright = page([line("word", 10, 20, 100, 30)], [region("text", 10, 20, 110, 50)], size=size)
    turned_size = size if angle_deg % 180 == 0 else size[::-1]
    quads = with_turn([upright.lines[0].quad_px], size, angle_deg)
    box = with_turn([[(10, 20), (110, 50)]], size, angle_deg)[0]
    flat = [min(box[0][0], box[1][0]), min(box[0][1], box[1][1]), max(box[0][0], box[1][0]), max(box[0][1], box[1][1])]
    lines = [{**line("word"), "quad_px": quads[0], "words": [word("word", 0, 0) | {"quad_px": quads[0]}]}]
    found = turned_upright(page(lines, [region("text", *flat)], size=turned_size, angle_deg=angle_deg))
    assert (found.width_px, found.height_px) == size
    assert found.lines[0].quad_px == found.lines[0].words[0].quad_px == upright.lines[0].quad_px
    assert found.regions[0].box_px == upright.regions[0].box_px


def test_document_of_an_image_is_the_image():
    assert document_of("a/b.png") == "a/b.png"
