"""A small note of a few lines: cheap to draw and to read, for tests of thousands of pages."""

import random

from benchmarks.sample_pages import words
from benchmarks.sample_pages.fonts import TEXT_FAMILIES
from benchmarks.sample_pages.records import Brief
from benchmarks.sample_pages.sheet import Sheet
from benchmarks.sample_pages.style import choose_style

_WIDTH, _HEIGHT = 480, 360
_LEFT, _RIGHT = 36, 444


def draw_note(rng: random.Random, brief: Brief) -> Sheet:
    """Draw a note; it holds at most some twenty words, however many the brief asks for."""
    style = choose_style(rng, TEXT_FAMILIES, 22, 26)
    sheet = Sheet(_WIDTH, _HEIGHT, style.paper, brief.scale)
    y = sheet.write(_LEFT, 32, words.person(rng), style.pen(1.2, "bold", colour=style.accent))
    y = sheet.write(_LEFT, y, f"{words.date(rng)}, {words.clock(rng)}", style.pen())
    y = sheet.write_block(_LEFT, y + 8, _RIGHT - _LEFT, words.sentence(rng), style.pen())
    sheet.write(_LEFT, y + 8, f"Phone {words.phone(rng)}", style.pen())
    return sheet
