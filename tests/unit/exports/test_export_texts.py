"""Text, Markdown and the tables within pages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from quintet_client.exports.formats import markdown, plain
from quintet_client.exports.layout.grid import table_of

from tests.unit.exports.made_results import document, line, page, region


def words_shown(tokens) -> list[str]:
    """The words that a reader of the rendered Markdown sees."""
    shown = []
    for token in tokens:
        if token.type == "inline":
            shown += [" " if child.type in {"softbreak", "hardbreak"} else child.content for child in token.children]
            shown.append(" ")
    return "".join(shown).split()


def parsed(text: bytes):
    return MarkdownIt("commonmark").enable("table").parse(text.decode())


def test_text_is_the_results_lines():
    assert plain.render(document(page([line("Total 12.50"), line("Thank  you")]))) == b"Total 12.50\nThank you\n"
    assert plain.render(document(page())) == b""


def test_text_of_a_document_has_a_form_feed_behind_each_page_and_says_which_was_not_read():
    text = plain.render(document(page([line("one")]), None, page([line("three")])))
    assert text == b"one\n\f[page 2 was not read: IMAGE_DECODE_FAILED]\n\fthree\n\f"


ARTICLE = page(
    [
        line("The journal", region=0),
        line("A title", region=1),
        line("A hyphen-", region=2),
        line("ated word and a well-", region=2),
        line("Known name", region=2),
        line("A section", region=3),
        line("*starred* and <b>", region=4),
        line("Figure 1. A curve", region=6),
        line("left over", y=700),
        line("beside it", x=500, y=702),
        line("below", y=760),
        line("page -- 7", region=7),
    ],
    [
        region("header", 0, 0, 800, 40),
        region("title", 0, 50, 800, 90),
        region("text", 0, 100, 800, 200),
        region("title", 0, 210, 800, 240),
        region("text", 0, 250, 800, 300),
        region("figure", 0, 310, 800, 500),
        region("figure_caption", 0, 510, 800, 540),
        region("footer", 0, 960, 800, 1000),
    ],
)


def test_markdown_of_an_article_is_its_structure():
    assert markdown.render(document(ARTICLE)).decode() == (
        "<!-- header: The journal -->\n\n"
        "# A title\n\n"
        "A hyphenated word and a well- Known name\n\n"
        "## A section\n\n"
        "\\*starred\\* and \\<b\\>\n\n"
        "> \\[figure\\]  \n> Figure 1. A curve\n\n"
        "left over beside it  \nbelow\n\n"
        "<!-- footer: page - - 7 -->\n"
    )


def test_markdown_of_a_document_numbers_its_pages_and_has_one_first_heading():
    title = page([line("Title", region=0)], [region("title", 0, 0, 9, 9)])
    text = markdown.render(document(title, None, title)).decode()
    assert text == (
        "<!-- page 1 -->\n\n# Title\n\n<!-- page 2 -->\n\n> Page 2 was not read: IMAGE\\_DECODE\\_FAILED\n\n"
        "<!-- page 3 -->\n\n## Title\n"
    )


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("exam-", "ple", "example"),
        ("exam\u00ad", "ple", "example"),
        ("exam-", "Ple", "exam- Ple"),
        ("1990-", "1995", "1990- 1995"),
        ("-", "a", "- a"),
        ("words", "apart", "words apart"),
        ("文字", "文字", "文字文字"),
        ("文字", "word", "文字 word"),
        ("한국", "어", "한국 어"),
    ],
)
def test_lines_of_a_paragraph_are_joined_with_care(first, second, joined):
    assert markdown.joined(page([line(first), line(second)]).lines) == joined


# What Markdown could trip over, among anything else.
TRAPS = st.lists(
    st.sampled_from(
        ["#", "-", "+", "1.", "2)", "> x", "```", "~~~", "---", "===", "|", ":--", "&amp;", "<a>", "[a](b)"]
    )
    | st.sampled_from(["*a*", "_b_", "`c`", "\\", "!", "<!--", "-->", "![x]", "    code", "http://a", "\x00", "]]>"])
    | st.text(max_size=8),
    max_size=5,
).map(" ".join)


@given(st.lists(TRAPS, min_size=1, max_size=4), st.sampled_from([None, "text", "title", "table", "reference"]))
def test_every_word_is_shown_by_a_markdown_reader_and_none_is_markup(texts, label):
    regions = [] if label is None else [region(label, 0, 0, 800, 999)]
    lines = [line(text, y=100.0 * at, region=None if label is None else 0) for at, text in enumerate(texts)]
    made = page(lines, regions)
    tokens = parsed(markdown.render(document(made)))
    whole = re.sub(r"\s", "", "".join(words_shown(tokens)))
    expected = re.sub(r"\s", "", markdown.joined(made.lines) if label not in {None, "table"} else made.text)
    assert whole == expected
    assert {token.type for token in tokens} <= {
        "paragraph_open", "paragraph_close", "inline", "heading_open", "heading_close",
    }  # fmt: skip


def cells(*rows, slope=0.0):
    """Lines of a table: (x, width, text) each, a row every 50 pixels, going down to the right by a slope."""

    def cell(y, x, width, text):
        corners = [(x, y), (x + width, y), (x + width, y + 30), (x, y + 30)]
        return {"text": text, "score": 1, "quad_px": [[a, b + a * slope] for a, b in corners], "region": 0}

    lines = [cell(50 * at, *one) for at, row in enumerate(rows) for one in row]
    return page(lines, [region("table", 0, 0, 800, 1000)])


BILL = (
    [(0, 60, "Item"), (300, 100, "Pieces"), (500, 80, "Price")],
    [(0, 200, "Brown bread"), (360, 40, "2"), (510, 70, "7|50")],
    [(0, 90, "Cheese"), (340, 60, "10"), (510, 70, "9.90")],
    [(360, 165, "Total"), (560, 20, "17")],
)


@pytest.mark.parametrize("slope", [0.0, 0.05, -0.05])
def test_a_table_is_told_by_its_rows_and_gaps_on_skewed_pages_too(slope):
    assert table_of(cells(*BILL, slope=slope).lines) == [
        ["Item", "Pieces", "Price"],
        ["Brown bread", "2", "7|50"],
        ["Cheese", "10", "9.90"],
        ["", "Total", "17"],
    ]


def test_a_table_becomes_a_pipe_table_that_readers_take_for_one():
    text = markdown.render(document(cells(*BILL)))
    assert text.decode().startswith("| Item | Pieces | Price |\n| --- | --- | --- |\n| Brown bread | 2 | 7\\|50 |\n")
    tokens = parsed(text)
    assert sum(token.type == "tr_open" for token in tokens) == 4
    assert " ".join(words_shown(tokens)) == "Item Pieces Price Brown bread 2 7|50 Cheese 10 9.90 Total 17"


@pytest.mark.parametrize(
    "rows",
    [
        [[(0, 100, "one"), (200, 100, "row")]],
        [[(0, 100, "one")], [(0, 100, "column")]],
        [[(0, 300, "a list")], [(0, 300, "of lines")], [(0, 100, "with"), (200, 50, "one")], [(0, 300, "number")]],
        [[(0, 300, "no"), (290, 300, "gap")], [(0, 300, "at"), (295, 300, "all")]],
    ],
    ids=["one row", "one column", "mostly lines", "overlapping"],
)
def test_what_is_no_table_stays_lines(rows):
    made = cells(*rows)
    assert table_of(made.lines) is None
    assert words_shown(parsed(markdown.render(document(made)))) == made.text.split()


def test_a_table_on_a_turned_page_is_told_too():
    upright = cells(*BILL)
    lines = [
        {"text": one.text, "score": 1, "quad_px": [[1000 - y, x] for x, y in one.quad_px], "region": 0}
        for one in upright.lines
    ]
    turned = page(lines, [region("table", 0, 0, 1000, 800)], size=(1000, 800), angle_deg=90)
    assert markdown.render(document(turned)) == markdown.render(document(upright))
