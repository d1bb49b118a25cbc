"""A page that is one table: cells of several words in rows that are to be read across."""

import random

from benchmarks.sample_pages import words
from benchmarks.sample_pages.fonts import TEXT_FAMILIES
from benchmarks.sample_pages.records import Brief
from benchmarks.sample_pages.sheet import Sheet
from benchmarks.sample_pages.style import choose_style

_WIDTH, _HEIGHT = 1240, 1600
_LEFT, _RIGHT = 80, 1160
_HEADS = ("Start", "Person in charge", "Place", "Telephone")
_COLUMNS = (_LEFT + 15, _LEFT + 160, _LEFT + 480, _LEFT + 830)
_WORDS_PER_ROW = 9


def draw_timetable(rng: random.Random, brief: Brief) -> Sheet:
    """Draw a table; more words mean more rows, with rules between them or without any."""
    style = choose_style(rng, TEXT_FAMILIES, 24, 27)
    sheet = Sheet(_WIDTH, _HEIGHT, style.paper, brief.scale)
    y = sheet.write(_LEFT, 80, f"Visits in {rng.choice(('spring', 'summer', 'autumn'))}", style.pen(1.6, "bold")) + 30
    ruled, step = rng.random() < 0.5, style.body * rng.choice((1.5, 2.0))
    for row in range(1 + max(4, min(22, brief.words // _WORDS_PER_ROW))):
        cells = (words.clock(rng), words.person(rng), words.street(rng), words.phone(rng)) if row else _HEADS
        for x, text in zip(_COLUMNS, cells, strict=True):
            sheet.write(x, y, text, style.pen(1.0, "regular" if row else "bold"))
        y += step
        if ruled or not row:
            sheet.rule((_LEFT, y - 8), (_RIGHT, y - 8), style.ink, 1)
    return sheet
