"""The pages: given ones, dense generated ones, or plain ones where the fonts of the generator are not installed."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.bench.page_sets import PageSet, draw_pages

SEED = 7
_SIZE_PX = (1240, 1754)
_LINE_PX = 34
_WORDS_PER_LINE, _LINES = 5, 34
_WORDS = ("account", "balance", "carrier", "delivery", "estimate", "freight", "ground", "handling", "invoice", "ledger")


def make_pages(samples: Path | None, count: int, folder: Path) -> PageSet:
    """At most `count` pages with their truth.

    Raises:
        FileNotFoundError: `samples` has no truth.json.
    """
    if samples is not None:
        names = sorted(json.loads((samples / "truth.json").read_text(encoding="utf-8")))[:count]
        return PageSet("given", samples, tuple(samples / name for name in names))
    try:
        return draw_pages(count, folder, "--dense")
    except (FileNotFoundError, ImportError) as error:
        sys.stderr.write(f"the generator's fonts are missing ({error}): plain pages instead\n")
        return draw_plain_pages(count, folder)


def draw_plain_pages(count: int, folder: Path) -> PageSet:
    """A4 pages at 150 dpi with 170 words in Pillow's own font."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = {}
    for number in range(count):
        name = f"page-{number:05d}.jpg"
        lines = _words(random.Random(f"{SEED}/{number}"))
        _draw(lines).save(folder / name, quality=85)
        truth[name] = {
            "orientation_deg": 0,
            "lines": [{"text": line, "quad": _quad(i)} for i, line in enumerate(lines)],
        }
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    return PageSet("plain", folder, tuple(folder / name for name in sorted(truth)))


def _words(rng: random.Random) -> list[str]:
    return [
        " ".join(rng.choice([*_WORDS, str(rng.randint(10, 9999))]) for _ in range(_WORDS_PER_LINE))
        for _ in range(_LINES)
    ]


def _draw(lines: list[str]) -> Image.Image:
    page = Image.new("RGB", _SIZE_PX, "white")
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        pen.text((90, 90 + 46 * number), line, fill="black", font=ImageFont.load_default(_LINE_PX))
    return page


def _quad(number: int) -> list[list[float]]:
    top = 90.0 + 46 * number
    return [[90, top], [1150, top], [1150, top + 40], [90, top + 40]]
