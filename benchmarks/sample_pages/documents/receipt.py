"""A till receipt: narrow, as long as its purchases, often in a typewriter's font."""

import random

from benchmarks.sample_pages import words
from benchmarks.sample_pages.fonts import TILL_FAMILIES
from benchmarks.sample_pages.records import Brief
from benchmarks.sample_pages.sheet import Sheet
from benchmarks.sample_pages.style import Style, choose_style

_WIDTH = 600
_LEFT, _RIGHT = 50, 550
_WORDS_OUTSIDE_ROWS, _WORDS_PER_ROW = 34, 4


def draw_receipt(rng: random.Random, brief: Brief) -> Sheet:
    """Draw a receipt 600 wide; more words mean a longer one."""
    style = choose_style(rng, TILL_FAMILIES, 24, 27)
    rows = max(4, (brief.words - _WORDS_OUTSIDE_ROWS) // _WORDS_PER_ROW)
    height = round(700 + rows * style.body * 1.5)
    sheet = Sheet(_WIDTH, height, style.paper, brief.scale)
    y = _head(sheet, style, rng)
    y, total = _rows(sheet, style, rng, y + 24, rows)
    _foot(sheet, style, rng, y + 12, total)
    return sheet


def _head(sheet: Sheet, style: Style, rng: random.Random) -> float:
    """Shop, address, when and at which till."""
    y = 60.0
    for line in sheet.wrap(words.company(rng), style.pen(1.5, "bold"), _RIGHT - _LEFT):
        y = sheet.write(_WIDTH / 2, y, line, style.pen(1.5, "bold"), align="middle")
    for text in (words.street(rng), words.city(rng), f"Tel {words.phone(rng)}"):
        y = sheet.write(_WIDTH / 2, y, text, style.pen(), align="middle")
    y = sheet.write(_LEFT, y + 16, f"{words.date(rng)}, {words.clock(rng)}", style.pen())
    y = sheet.write(_LEFT, y, f"Till {rng.randint(2, 9)} Cashier {rng.choice(('Anna', 'Oscar', 'Emma'))}", style.pen())
    sheet.rule((_LEFT, y + 6), (_RIGHT, y + 6), style.ink)
    return y


def _rows(sheet: Sheet, style: Style, rng: random.Random, y: float, rows: int) -> tuple[float, int]:
    """What was bought; returns the y below and the sum in cents."""
    total = 0
    for _ in range(rows):
        count, cents = rng.randint(2, 9), rng.randint(99, 2999)
        total += count * cents
        sheet.write(_LEFT, y, f"{count} {words.goods(rng)}", style.pen())
        sheet.write(_RIGHT, y, words.money(count * cents), style.pen(), align="right")
        y += style.body * 1.5
    sheet.rule((_LEFT, y), (_RIGHT, y), style.ink)
    return y, total


def _foot(sheet: Sheet, style: Style, rng: random.Random, y: float, total: int) -> None:
    """The sum, how it was paid, and thanks."""
    sheet.write(_LEFT, y, "TOTAL", style.pen(1.4, "bold"))
    y = sheet.write(_RIGHT, y, f"${words.money(total)}", style.pen(1.4, "bold"), align="right")
    sheet.write(_LEFT, y, rng.choice(("Cash", "Card", "Voucher")), style.pen())
    y = sheet.write(_RIGHT, y, words.money(total), style.pen(), align="right")
    y = sheet.write(_LEFT, y, f"Receipt {words.number(rng, 8)}", style.pen())
    sheet.write(_WIDTH / 2, y + 20, "Thank you for your visit", style.pen(), align="middle")
