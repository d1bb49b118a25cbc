"""`md`: headings, paragraphs, tables and figures as Markdown (CommonMark with GitHub's pipe tables)."""

import re
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

from quintet_client.api.results import Line, PageResult, Table
from quintet_client.exports.documents import Document
from quintet_client.exports.layout.blocks import Block, blocks_of, turned_upright
from quintet_client.exports.layout.regions import settled
from quintet_client.exports.layout.rows import in_rows, is_ideographic, is_running_text, straightened

# What Markdown could take for markup anywhere in a line, and what only at a line's beginning.
_MARKUP = re.compile(r"([\\`*_\[\]<>&|~])")
# A number begins a list by the sign behind it; any other sign is markup by itself.
_AT_START = re.compile(r"^(?:([0-9]+)(?=[.)](?:\s|$))|(?=(?:#{1,6}|[+-])(?:\s|$)|[-=:][-=:\s]*$))")
# Closes a heading.
_AT_END = re.compile(r"(?<=\s)#+(?=\s*$)")
_BACKSLASHED = r"\\\g<0>"
_HYPHENS = ("-", "\u2010", "\u00ad")


def render(document: Document) -> bytes:
    """Pages one after the other, those of a document under a comment with the page's number."""
    texts: list[str] = []
    for page in document.pages:
        if document.has_pages_of_its_own:
            texts.append(f"<!-- page {page.number} -->")
        if page.page is None:
            texts.append(f"> Page {page.number} was not read: {escaped(page.code)}")
        else:
            texts += _texts_of(settled(turned_upright(page.page)), "#" if page is document.pages[0] else "##")
    return "".join(f"{text}\n\n" for text in texts)[:-1].encode()


def _texts_of(page: PageResult, level: str) -> list[str]:
    """Turn the blocks of an upright page into Markdown's blocks: headers first, footers last, both as comments."""
    blocks = blocks_of(page)
    captions = _captions(blocks)
    tables = {table.region: table for table in page.tables}
    texts = []
    for place, block in enumerate(blocks):
        if block.label in {"header", "footer"} or place in captions.values():
            continue
        if block.label == "figure":
            texts.append(_figure(block, blocks[captions[place]] if place in captions else None))
        elif block.label == "title" and block.lines:
            texts.append(f"{level} {escaped(joined(block.lines))}")
            level = "##"
        elif block.region in tables:
            texts += _table(page, tables[block.region])
        elif block.lines:
            texts.append(_body(block))
    return [*_comments(blocks, "header"), *texts, *_comments(blocks, "footer")]


def _body(block: Block) -> str:
    if block.region is None or not is_running_text(block.lines):
        return "  \n".join(_rows(block.lines))
    return escaped(joined(block.lines))


def _table(page: PageResult, table: Table) -> list[str]:
    """A table and its region's lines over and under it."""
    cells = {place for row in table.rows for cell in row for place in cell}
    others = [n for n, line in enumerate(page.lines) if line.region == table.region and n not in cells]
    over, under = ([page.lines[n] for n in others if (n < min(cells)) is is_over] for is_over in (True, False))
    rows = [[" ".join(page.lines[place].text for place in cell) for cell in row] for row in table.rows]
    return [text for text in ("  \n".join(_rows(over)), _pipe_table(rows), "  \n".join(_rows(under))) if text]


def _captions(blocks: Sequence[Block]) -> dict[int, int]:
    """Give each figure the caption right after it, or else right before it, if it is not another's."""
    pairs = [(place, block.label, after.label) for place, (block, after) in enumerate(pairwise(blocks))]
    captions = {place: place + 1 for place, *labels in pairs if labels == ["figure", "figure_caption"]}
    for place, *labels in pairs:
        if labels == ["figure_caption", "figure"] and place not in captions.values():
            captions.setdefault(place + 1, place)
    return captions


def _figure(figure: Block, caption: Block | None) -> str:
    lines = [escaped(joined(caption.lines))] if caption and caption.lines else []
    lines += _rows(figure.lines)
    return "> \\[figure\\]" + "".join(f"  \n> {line}" for line in lines)


def _pipe_table(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(_MARKUP.sub(_BACKSLASHED, cell) for cell in row)} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def _rows(lines: Sequence[Line]) -> list[str]:
    """Keep line breaks; what is side by side on the page is on one line."""
    return [escaped(" ".join(line.text for line in row)) for row in in_rows(straightened(lines))]


def _comments(blocks: Sequence[Block], label: str) -> list[str]:
    # A comment may not contain "--", and nothing can be escaped in it.
    texts = [joined(block.lines) for block in blocks if block.label == label and block.lines]
    return [f"<!-- {label}: {re.sub('-(?=-)', '- ', text)} -->" for text in texts]


def joined(lines: Sequence[Line]) -> str:
    """Join the lines of a paragraph.

    A hyphen at a line's end is dropped if a lower-case letter precedes it and another begins the next line; a compound
    broken at its own hyphen loses it, which no rule without a dictionary can tell. No space goes between two characters
    of scripts without spaces.
    """
    return reduce(_continued, (line.text for line in lines), "")


def _continued(text: str, more: str) -> str:
    if not text or not more:
        return text or more
    if text.endswith(_HYPHENS) and text[-2:-1].islower() and more[0].islower():
        return text[:-1] + more
    if is_ideographic(text[-1]) and is_ideographic(more[0]):
        return text + more
    return f"{text} {more}"


def escaped(text: str) -> str:
    """Escape what Markdown would take for markup in one line of text."""
    return _AT_END.sub(_BACKSLASHED, _AT_START.sub(r"\1\\", _MARKUP.sub(_BACKSLASHED, text)))
