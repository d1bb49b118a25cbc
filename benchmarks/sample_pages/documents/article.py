"""An article in two columns under one title: what naive top-to-bottom sorting reads wrongly."""

import random

from benchmarks.sample_pages import words
from benchmarks.sample_pages.fonts import TEXT_FAMILIES
from benchmarks.sample_pages.records import Brief
from benchmarks.sample_pages.sheet import Sheet
from benchmarks.sample_pages.style import Style, choose_style

_WIDTH, _HEIGHT = 1200, 1600
_LEFT, _RIGHT, _GUTTER = 100, 1100, 70
_COLUMN = (_RIGHT - _LEFT - _GUTTER) / 2


def draw_article(rng: random.Random, brief: Brief) -> Sheet:
    """Draw an article; the truth's lines go down the left column, then down the right one."""
    style = choose_style(rng, TEXT_FAMILIES, 23, 27)
    sheet = Sheet(_WIDTH, _HEIGHT, style.paper, brief.scale)
    top = _title(sheet, style, rng) + 30
    half = max(20, (brief.words - sheet.words) // 2)
    for column, x in enumerate((_LEFT, _LEFT + _COLUMN + _GUTTER)):
        y = top
        if column == rng.randrange(3):
            y = _figure(sheet, style, rng, x, y)
        y = sheet.write(x, y, words.heading(rng).split(" and ")[0], style.pen(1.1, "bold", colour=style.accent)) + 6
        sheet.write_block(x, y, _COLUMN, words.prose(rng, half), style.pen())
    sheet.write(_WIDTH / 2, _HEIGHT - 100, str(rng.randint(12, 480)), style.pen(), align="middle")
    return sheet


def _title(sheet: Sheet, style: Style, rng: random.Random) -> float:
    """Title over both columns and the author's line."""
    y, pen = 90.0, style.pen(2.0, "bold")
    for line in sheet.wrap(words.heading(rng), pen, _RIGHT - _LEFT):
        y = sheet.write(_LEFT, y, line, pen)
    y = sheet.write(_LEFT, y + 8, f"By {words.person(rng)}, {words.date(rng)}", style.pen(1.0, "italic"))
    sheet.rule((_LEFT, y + 10), (_RIGHT, y + 10), style.accent, 3)
    return y + 10


def _figure(sheet: Sheet, style: Style, rng: random.Random, x: float, y: float) -> float:
    """A bar chart without labels and its caption; returns the y below."""
    sheet.box((x, y, x + _COLUMN, y + 230), style.tint)
    for bar in range(6):
        left = x + 30 + bar * 68
        sheet.box((left, y + 215 - rng.randint(30, 180), left + 44, y + 215), style.accent)
    caption = f"Figure {rng.randint(2, 9)}. Results of {rng.randint(2015, 2029)}"
    return sheet.write(x, y + 242, caption, style.pen(0.9, "italic")) + 16
