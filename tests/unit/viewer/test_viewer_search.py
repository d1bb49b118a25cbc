"""What a query means, where its words stand in a line, and that search finds what the lines show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet_client.output.ledger import Ledger, Row
from quintet_client.viewer.data.run import Run
from quintet_client.viewer.data.search import Index, fts_query, parts_of, terms_of, words_of

from tests.client.viewer.made_runs import answer, write_answer, write_ledger


def hits(text, query):
    return [part for part, hit in parts_of(text, terms_of(query)) if hit]


@pytest.mark.parametrize(
    ("text", "query", "found"),
    [
        ("Invoice 7001, INVOICES", "invoice", ["Invoice", "INVOICES"]),
        ("Crème BRÛLÉE", "creme brulee", ["Crème", "BRÛLÉE"]),
        ("Total due: 12.50", '"total due"', ["Total due"]),
        ("due total", '"total due"', []),
        ("subtotal", "total", []),
        ("totals", '"total"', []),
        ("合計金額 1200", "金額", ["金額"]),
        ("合 額", '"金額"', []),
        ("ﬁnal Straße", "final strasse", ["ﬁnal", "Straße"]),
        ("12.50 and 1250", "12.50", ["12.50"]),
        ("a_b", "b", ["b"]),
    ],
)
def test_words_are_marked_where_they_stand(text, query, found):
    assert hits(text, query) == found


@given(st.text(max_size=60), st.text(max_size=20))
def test_the_parts_of_a_line_join_to_the_line(text, query):
    assert "".join(part for part, _hit in parts_of(text, terms_of(query))) == text


@given(st.text(max_size=40))
def test_no_query_breaks_the_index(query):
    words = " ".join(words_of(query))
    assert isinstance(fts_query(terms_of(query)), str)
    assert words_of(words) == words.split()


@pytest.fixture
def index(tmp_path):
    pages = {"a.png": ["Total due 12.50", "Ünïted"], "b.png": ["due total"], "合計.png": ["nothing here"]}
    write_ledger(tmp_path, [write_answer(tmp_path, name, answer(texts)) for name, texts in pages.items()])
    index = Index(Run(tmp_path))
    yield index
    index.close()


@pytest.mark.parametrize(
    ("query", "pages"),
    [
        ("total", {"a.png", "b.png"}),
        ("TOT", {"a.png", "b.png"}),
        ('"total due"', {"a.png"}),
        ("united 12.5", {"a.png"}),
        ("united nothing", set()),
        ("計", {"合計.png"}),
        ('" OR ) NEAR * : ^ -', set()),
        ("'; DROP TABLE pages; --", set()),
        ("", set()),
    ],
)
def test_pages_are_found_by_all_their_words(index, query, pages):
    found = index.search(query, wait_s=10)
    assert set(found.page_ids) == pages
    assert (found.total, found.indexed, found.complete) == (len(pages), 3, True)


def test_pages_read_later_are_found_and_those_read_again_by_their_new_words_alone(index, tmp_path, monkeypatch):
    monkeypatch.setattr("quintet_client.viewer.data.search._LOOK_AGAIN_S", 0.0)
    assert index.search("total", wait_s=10).total == 2
    rows = [
        write_answer(tmp_path, "a.png", answer(["other words"])),
        write_answer(tmp_path, "d.png", answer(["total"])),
    ]
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        ledger.record(rows)
    assert set(index.search("total", wait_s=10).page_ids) == {"b.png", "d.png"}
    assert index.search("other", wait_s=10).page_ids == ("a.png",)


@pytest.mark.slow
def test_answers_that_are_gone_or_no_answers_do_not_stop_the_index(tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "b.png.json").write_text("[1, 2")
    (tmp_path / "pages" / "c.png.json").write_text('{"text": 7}')
    rows = [
        Row("a.png", "ok"),
        Row("b.png", "ok"),
        Row("c.png", "ok"),
        write_answer(tmp_path, "d.png", answer(["word"])),
    ]
    write_ledger(tmp_path, rows)
    index = Index(Run(tmp_path))
    assert index.search("word", wait_s=10).page_ids == ("d.png",)
    index.close()
