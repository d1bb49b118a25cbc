"""An invoice: parties, a table of goods with rules and a shaded head, totals."""

import random

from benchmarks.sample_pages import words
from benchmarks.sample_pages.fonts import TEXT_FAMILIES, Pen
from benchmarks.sample_pages.records import Brief
from benchmarks.sample_pages.sheet import Sheet
from benchmarks.sample_pages.style import WHITE, Style, choose_style

_WIDTH, _HEIGHT = 1240, 1754
_LEFT, _RIGHT = 100, 1140
_HEADS = ("Item", "Description", "Quantity", "Price", "Amount")
# Right edges of the number columns; the first two columns begin at their x.
_COLUMNS = ((_LEFT + 20, "left"), (_LEFT + 120, "left"), (720, "right"), (920, "right"), (_RIGHT - 20, "right"))
_WORDS_OUTSIDE_TABLE, _WORDS_PER_ROW = 45, 6


def draw_invoice(rng: random.Random, brief: Brief) -> Sheet:
    """Draw an invoice on A4; more words mean more rows."""
    style = choose_style(rng, TEXT_FAMILIES, 24, 28)
    sheet = Sheet(_WIDTH, _HEIGHT, style.paper, brief.scale)
    currency = rng.choice(words.CURRENCIES)
    y = _head(sheet, style, rng)
    rows = max(3, min(18, (brief.words - _WORDS_OUTSIDE_TABLE) // _WORDS_PER_ROW))
    y, total = _table(sheet, style, rng, y, rows)
    y = _totals(sheet, style, currency, y + 20, total)
    sheet.write(_LEFT, y + 30, f"Please pay within {rng.choice((14, 30, 60))} days. Thank you.", style.pen())
    return sheet


def _head(sheet: Sheet, style: Style, rng: random.Random) -> float:
    """Title, numbers and the two parties."""
    sheet.box((_LEFT, 90, _LEFT + 70, 160), style.accent)
    sheet.disc(_LEFT + 70, 125, 35, style.tint)
    sheet.write(_LEFT + 130, 95, words.company(rng), style.pen(1.5, "bold", colour=style.accent))
    sheet.write(_RIGHT, 170, "INVOICE", style.pen(2.1, "bold"), align="right")
    y = sheet.write(_RIGHT, 245, f"Number {words.number(rng, 6)}", style.pen(), align="right")
    sheet.write(_RIGHT, y, f"Date {words.date(rng)}", style.pen(), align="right")
    y = sheet.write(_LEFT, 245, "Bill to", style.pen(1.0, "bold", colour=style.accent))
    for text in (words.person(rng), words.street(rng), words.city(rng)):
        y = sheet.write(_LEFT, y, text, style.pen())
    return y + 50


def _table(sheet: Sheet, style: Style, rng: random.Random, y: float, rows: int) -> tuple[float, int]:
    """The goods; returns the y below the table and the sum in cents."""
    step, total = style.body * 1.9, 0
    dark_head = rng.random() < 0.5
    sheet.box((_LEFT, y, _RIGHT, y + step), style.accent if dark_head else style.tint)
    _row(sheet, y, _HEADS, style.pen(1.0, "bold", WHITE if dark_head else style.ink))
    for item in range(1, rows + 1):
        y += step
        count, cents = rng.randint(1, 24), rng.randint(199, 48999)
        total += count * cents
        cells = (str(item + 100), words.goods(rng), str(count), words.money(cents), words.money(count * cents))
        _row(sheet, y, cells, style.pen())
        sheet.rule((_LEFT, y + step), (_RIGHT, y + step), style.ink, 1)
    return y + step, total


def _row(sheet: Sheet, y: float, cells: tuple[str, ...], pen: Pen) -> None:
    """One row of cells, each aligned as its column is."""
    for (x, align), text in zip(_COLUMNS, cells, strict=True):
        sheet.write(x, y + pen.size_px * 0.4, text, pen, align)


def _totals(sheet: Sheet, style: Style, currency: str, y: float, total: int) -> float:
    """Net, tax and the sum to pay."""
    tax = total // 5
    for label, cents, weight in (
        ("Net", total, "regular"),
        ("Tax 20%", tax, "regular"),
        ("Total", total + tax, "bold"),
    ):
        sheet.write(720, y, label, style.pen(1.1, weight))
        amount = f"{currency} {words.money(cents)}"
        y = sheet.write(_RIGHT - 20, y, amount, style.pen(1.1, weight), align="right") + 6
    sheet.rule((720, y + 4), (_RIGHT - 20, y + 4), style.accent, 4)
    return y + 20
