"""A newspaper's page: a headline, a lead over the full width, three columns, a table under two of them."""

import random

from benchmarks.sample_pages import words
from benchmarks.sample_pages.fonts import TEXT_FAMILIES
from benchmarks.sample_pages.records import Brief
from benchmarks.sample_pages.sheet import Sheet
from benchmarks.sample_pages.style import Style, choose_style

_WIDTH, _HEIGHT = 1240, 1754
_LEFT, _RIGHT, _GUTTER = 70, 1170, 40
_COLUMN = (_RIGHT - _LEFT - 2 * _GUTTER) / 3
# Cells of the table, as shares of its width.
_CELLS = (0.02, 0.5, 0.75)


def draw_newspaper(rng: random.Random, brief: Brief) -> Sheet:
    """Draw the page; the truth goes down each column in turn, the table's rows come after all columns."""
    style = choose_style(rng, TEXT_FAMILIES, 21, 24)
    sheet = Sheet(_WIDTH, _HEIGHT, style.paper, brief.scale)
    name = f"The {rng.choice(('Harbour', 'Morning', 'County'))} Gazette"
    sheet.write(_WIDTH / 2, 60, name, style.pen(2.4, "bold"), "middle")
    sheet.rule((_LEFT, 140), (_RIGHT, 140), style.ink, 3)
    y = sheet.write(_LEFT, 155, words.heading(rng), style.pen(1.7, "bold", colour=style.accent))
    y = sheet.write_block(_LEFT, y + 14, _RIGHT - _LEFT, words.prose(rng, 24), style.pen(1.1, "italic")) + 24
    third = max(16, (brief.words - sheet.words) // 3)
    bottoms = [_column(sheet, style, rng, _LEFT + n * (_COLUMN + _GUTTER), y, third) for n in range(3)]
    _table(sheet, style, rng, max(bottoms) + 50)
    return sheet


def _column(sheet: Sheet, style: Style, rng: random.Random, x: float, y: float, count: int) -> float:
    """A short heading and its text; returns the y below."""
    y = sheet.write(x, y, words.goods(rng), style.pen(1.2, "bold"))
    return sheet.write_block(x, y + 8, _COLUMN, words.prose(rng, count), style.pen())


def _table(sheet: Sheet, style: Style, rng: random.Random, y: float) -> None:
    """Prices in rows, over the full width."""
    width = _RIGHT - _LEFT
    for row in range(rng.randint(4, 7)):
        heads = ("Market prices", "Last week", "Today")
        cells = (words.goods(rng), words.money(rng.randint(99, 9999)), words.money(rng.randint(99, 9999)))
        for share, text in zip(_CELLS, cells if row else heads, strict=True):
            sheet.write(_LEFT + share * width, y, text, style.pen(1.0, "regular" if row else "bold"))
        y += style.body * 1.8
        sheet.rule((_LEFT, y - 6), (_RIGHT, y - 6), style.ink, 1)
