"""A business letter: letterhead, address, reference, paragraphs, signature."""

import random

from benchmarks.sample_pages import words
from benchmarks.sample_pages.fonts import TEXT_FAMILIES
from benchmarks.sample_pages.records import Brief
from benchmarks.sample_pages.sheet import Sheet
from benchmarks.sample_pages.style import WHITE, Style, choose_style

_WIDTH, _HEIGHT = 1240, 1754
_LEFT, _RIGHT = 130, 1110


def draw_letter(rng: random.Random, brief: Brief) -> Sheet:
    """Draw a letter on A4."""
    style = choose_style(rng, TEXT_FAMILIES, 26, 30)
    sheet = Sheet(_WIDTH, _HEIGHT, style.paper, brief.scale)
    y = _head(sheet, style, rng)
    y = _address(sheet, style, rng, y)
    y = _body(sheet, style, rng, y, brief.words - 12)
    _signature(sheet, style, rng, y + 30)
    return sheet


def _head(sheet: Sheet, style: Style, rng: random.Random) -> float:
    """The letterhead: a coloured band, or a logo with the name beside it."""
    name = words.company(rng)
    contact = f"{words.street(rng)}, {words.city(rng)}"
    if rng.random() < 0.5:
        sheet.box((70, 70, _WIDTH - 70, 200), style.accent)
        sheet.write(_LEFT, 90, name, style.pen(1.6, "bold", colour=WHITE))
        sheet.write(_LEFT, 150, contact, style.pen(0.9, colour=WHITE))
    else:
        sheet.disc(_LEFT + 45, 130, 45, style.accent)
        sheet.write(_LEFT + 120, 80, name, style.pen(1.6, "bold", colour=style.accent))
        sheet.write(_LEFT + 120, 145, contact, style.pen(0.9))
        sheet.rule((_LEFT, 205), (_RIGHT, 205), style.accent, 3)
    return 260


def _address(sheet: Sheet, style: Style, rng: random.Random, y: float) -> float:
    """To whom, when and about what."""
    recipient = words.person(rng)
    for text in (recipient, words.street(rng), words.city(rng)):
        y = sheet.write(_LEFT, y, text, style.pen())
    y = sheet.write(_RIGHT, y + 20, words.date(rng), style.pen(), align="right")
    y = sheet.write(_LEFT, y + 10, words.heading(rng), style.pen(1.1, "bold"))
    return sheet.write(_LEFT, y + 30, f"Dear {recipient},", style.pen())


def _body(sheet: Sheet, style: Style, rng: random.Random, y: float, until_words: int) -> float:
    """Paragraphs until the page holds its words or is full."""
    while y < _HEIGHT - 420 and (left := until_words - sheet.words) > 0:
        y = sheet.write_block(_LEFT, y + 14, _RIGHT - _LEFT, words.prose(rng, min(left, 40)), style.pen())
    return y


def _signature(sheet: Sheet, style: Style, rng: random.Random, y: float) -> None:
    """Greeting, name and the line at the foot of the page."""
    y = sheet.write(_LEFT, y, "Yours sincerely,", style.pen())
    sheet.write(_LEFT, y + 40, words.person(rng), style.pen(1.0, "italic"))
    sheet.rule((_LEFT, _HEIGHT - 130), (_RIGHT, _HEIGHT - 130), style.tint)
    foot = f"Telephone {words.phone(rng)}"
    sheet.write(_WIDTH / 2, _HEIGHT - 115, foot, style.pen(0.8), align="middle")
