"""Text, Markdown and the tables within pages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from quintet_client.exports.formats import markdown, plain
from quintet_client.exports.layout.rows import is_running_text

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
        line("A hyphen-", region=2, y=100),
        line("ated word and a well-", region=2, y=130),
        line("Known name", region=2, y=160),
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
    reads_on = label == "title" or (label in {"text", "reference"} and is_running_text(made.lines))
    expected = re.sub(r"\s", "", markdown.joined(made.lines) if reads_on else made.text)
    assert whole == expected
    assert {token.type for token in tokens} <= {
        "paragraph_open", "paragraph_close", "inline", "heading_open", "heading_close",
    }  # fmt: skip


def lines_of(*rows, slope=0.0, region=0):
    """Lines of a table: (x, width, text) each, a row every 50 pixels, going down to the right by a slope."""

    def cell(y, x, width, text):
        corners = [(x, y), (x + width, y), (x + width, y + 30), (x, y + 30)]
        return {"text": text, "score": 1, "quad_px": [[a, b + a * slope] for a, b in corners], "region": region}

    return [cell(50 * at, *one) for at, row in enumerate(rows) for one in row]


TABLE = [region("table", 0, 0, 800, 1000)]
BILL = lines_of(
    [(0, 200, "Shop")],
    [(0, 60, "Item"), (300, 100, "Pieces"), (500, 80, "Price")],
    [(0, 90, "Brown"), (100, 90, "bread"), (360, 40, "2"), (510, 70, "7|50")],
    [(360, 165, "Total"), (560, 20, "17")],
    [(0, 200, "Thank"), (210, 200, "you")],
)
CELLS = [{"region": 0, "rows": [[[1], [2], [3]], [[4, 5], [6], [7]], [[], [8], [9]]]}]
PIPES = "| Item | Pieces | Price |\n| --- | --- | --- |\n| Brown bread | 2 | 7\\|50 |\n|  | Total | 17 |\n"


def test_a_table_becomes_a_pipe_table_that_readers_take_for_one_between_what_stands_over_and_under_it():
    text = markdown.render(document(page(BILL, TABLE, tables=CELLS)))
    assert text.decode() == f"Shop\n\n{PIPES}\nThank you\n"
    tokens = parsed(text)
    assert sum(token.type == "tr_open" for token in tokens) == 3
    assert " ".join(words_shown(tokens)) == "Shop Item Pieces Price Brown bread 2 7|50 Total 17 Thank you"


def test_a_tables_head_that_layout_takes_for_something_else_is_in_the_table_alone():
    lines = [one | {"region": 1} if 1 <= at <= 3 else one for at, one in enumerate(BILL)]
    regions = [*TABLE, region("table_caption", 0, 0, 800, 90)]
    text = markdown.render(document(page(lines, regions, tables=CELLS))).decode()
    assert text == f"Shop\n\n{PIPES}\nThank you\n"


def test_a_table_without_cells_keeps_its_rows():
    assert markdown.render(document(page(BILL[1:8], TABLE))).decode() == ("Item Pieces Price  \nBrown bread 2 7\\|50\n")


def test_a_table_on_a_turned_page_is_the_same():
    lines = [one | {"quad_px": [[1000 - y, x] for x, y in one["quad_px"]]} for one in BILL]
    turned = page(lines, [region("table", 0, 0, 1000, 800)], size=(1000, 800), angle_deg=90, tables=CELLS)
    assert markdown.render(document(turned)) == markdown.render(document(page(BILL, TABLE, tables=CELLS)))


FIELDS = ("Name", "Anna Novak"), ("Street", "12 Mill Road"), ("City", "Oxford 12345")
FORM = "Name Anna Novak  \nStreet 12 Mill Road  \nCity Oxford 12345\n"


@pytest.mark.parametrize("slope", [0.0, 0.05, -0.05])
@pytest.mark.parametrize(
    ("of_label", "of_value", "labels"),
    [
        (0, 1, ["text", "text"]),
        (0, 1, ["figure", "table"]),
        (None, 0, ["table"]),
        (0, None, ["title"]),
        (0, 0, ["text"]),
        (0, 0, ["figure"]),
    ],
)
def test_a_form_keeps_label_and_value_together_whatever_regions_they_are_in(of_label, of_value, labels, slope):
    rows = [[(0, 100, label), (300, 200, value)] for label, value in FIELDS]
    lines = [one | {"region": of_value if at % 2 else of_label} for at, one in enumerate(lines_of(*rows, slope=slope))]
    boxes = [(-50, -50, 200, 200), (250, -50, 600, 200)] if len(labels) > 1 else [(-50, -50, 600, 200)]
    made = page(lines, [region(label, *box) for label, box in zip(labels, boxes, strict=True)])
    assert markdown.render(document(made)).decode() == FORM


PROSE = ["The first line of a text", "goes on in the second", "and is over in the third."]


def test_running_text_keeps_its_region_whatever_stands_beside_it():
    rows = [[(0, 400, text), (500, 100, label)] for text, label in zip(PROSE, ("10", "20", "30"), strict=True)]
    lines = [one | {"region": at % 2} for at, one in enumerate(lines_of(*rows))]
    made = page(lines, [region("text", 0, 0, 400, 200), region("figure", 450, 0, 800, 200)])
    assert markdown.render(document(made)).decode() == (
        f"{' '.join(PROSE)}\n\n> \\[figure\\]  \n> 10  \n> 20  \n> 30\n"
    )


def test_two_addresses_side_by_side_are_two_blocks_that_keep_their_lines():
    buyer = ["Buyer", "Anna Novak", "12 Mill Road", "Oxford 12345"]
    seller = ["Seller", "Oscar Hughes", "9 Park Avenue", "Leeds 82999"]
    lines = [
        line(text, x=x, y=100 + 35 * at, region=number)
        for number, (x, address) in enumerate([(100, buyer), (500, seller)])
        for at, text in enumerate(address)
    ]
    made = page(lines, [region("text", 90, 90, 400, 300), region("text", 490, 90, 800, 300)])
    shown = "\n\n".join("  \n".join(address) for address in (buyer, seller))
    assert markdown.render(document(made)).decode() == f"{shown}\n"


def test_a_receipt_is_no_figure_and_a_frame_around_text_neither():
    goods = lines_of([(0, 200, "Brown bread"), (400, 70, "7.50")], [(0, 90, "Cheese"), (400, 70, "9.90")])
    receipt = page([*goods, line("Thank you", y=400)], [region("figure", 0, 0, 600, 300)])
    assert markdown.render(document(receipt)).decode() == "Brown bread 7.50  \nCheese 9.90\n\nThank you\n"
    paragraph = [line(text, y=40.0 * at, region=0) for at, text in enumerate(PROSE)]
    others = [line(text, y=500 + 40.0 * at) for at, text in enumerate(PROSE * 2)]
    framed = page([*paragraph, *others], [region("text", 90, 0, 800, 150), region("figure", 80, 0, 810, 160)])
    assert "figure" not in markdown.render(document(framed)).decode()


def test_a_figure_with_a_few_labels_is_one():
    labels = [line(text, x=x, y=40, region=0) for x, text in ((100, "10"), (300, "20"))]
    body = [line(text, y=200 + 40.0 * at, region=1) for at, text in enumerate(PROSE)]
    made = page([*labels, *body], [region("figure", 0, 0, 800, 150), region("text", 0, 190, 800, 400)])
    assert markdown.render(document(made)).decode() == f"> \\[figure\\]  \n> 10 20\n\n{' '.join(PROSE)}\n"
