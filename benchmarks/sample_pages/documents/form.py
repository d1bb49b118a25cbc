"""A form: labels, boxes with entries in another face, tick boxes, a declaration."""

import random
from collections.abc import Callable

from benchmarks.sample_pages import words
from benchmarks.sample_pages.fonts import TEXT_FAMILIES, Pen
from benchmarks.sample_pages.records import Brief, Colour
from benchmarks.sample_pages.sheet import Sheet
from benchmarks.sample_pages.style import WHITE, Style, choose_style

_WIDTH, _HEIGHT = 1240, 1600
_LEFT, _RIGHT = 110, 1130
FIELDS: tuple[tuple[str, Callable[[random.Random], str]], ...] = (
    ("Full name", words.person),
    ("Street", words.street),
    ("City and postal code", words.city),
    ("Telephone", words.phone),
    ("Date of birth", words.date),
    ("Employer", words.company),
    ("Contact person", words.person),
    ("Member since", words.date),
    ("Second telephone", words.phone),
    ("Home town", words.city),
)
_ENTRY_INK: Colour = (20, 20, 110)
_OPTIONS = ("New application", "Change of address", "Renewal", "Request for a copy")


def draw_form(rng: random.Random, brief: Brief) -> Sheet:
    """Draw a filled-in form; more words mean more fields, then a longer declaration."""
    style = choose_style(rng, TEXT_FAMILIES, 24, 28)
    sheet = Sheet(_WIDTH, _HEIGHT, style.paper, brief.scale)
    sheet.box((80, 80, _WIDTH - 80, 170), style.accent)
    title = rng.choice(("Registration Form", "Membership Application", "Change Request"))
    sheet.write(_WIDTH / 2, 98, title, style.pen(1.8, "bold", colour=WHITE), align="middle")
    y = sheet.write(_LEFT, 195, "Please complete all fields in capital or small letters.", style.pen(1.0, "italic"))
    y = _fields(sheet, style, rng, y + 20, max(4, min(10, brief.words // 9)))
    y = _options(sheet, style, rng, y + 25)
    _declaration(sheet, style, rng, y + 20, brief.words)
    return sheet


def _fields(sheet: Sheet, style: Style, rng: random.Random, y: float, count: int) -> float:
    """Rows of a label and a box with an entry; entries are in a typewriter's face."""
    entry_pen = Pen("droid-mono", style.body, "regular", _ENTRY_INK)
    for label, entry in FIELDS[:count]:
        sheet.write(_LEFT, y + 12, label, style.pen(1.0, "bold"))
        sheet.box((_LEFT + 340, y, _RIGHT, y + style.body * 2.2), WHITE, style.ink)
        sheet.write(_LEFT + 360, y + 12, entry(rng), entry_pen)
        y += style.body * 2.7
    return y


def _options(sheet: Sheet, style: Style, rng: random.Random, y: float) -> float:
    """Tick boxes in two columns, one of them filled."""
    chosen = rng.randrange(len(_OPTIONS))
    for position, text in enumerate(_OPTIONS):
        x = _LEFT + (position % 2) * 520
        sheet.box((x, y, x + 28, y + 28), style.accent if position == chosen else WHITE, style.ink)
        sheet.write(x + 55, y - 2, text, style.pen())
        y += style.body * 1.9 if position % 2 else 0
    return y


def _declaration(sheet: Sheet, style: Style, rng: random.Random, y: float, until_words: int) -> None:
    """Small print on a tint, then place and date."""
    text = words.prose(rng, max(12, until_words - sheet.words - 6))
    pen = style.pen(0.9)
    bottom = y + 30 + len(sheet.wrap(text, pen, _RIGHT - _LEFT - 40)) * pen.line_height
    sheet.box((_LEFT, y, _RIGHT, bottom), style.tint)
    sheet.write_block(_LEFT + 20, y + 15, _RIGHT - _LEFT - 40, text, pen)
    y = bottom + 40
    sheet.write(_LEFT, y, f"{words.city(rng)}, {words.date(rng)}", style.pen())
    sheet.rule((700, y + 36), (_RIGHT, y + 36), style.ink)
