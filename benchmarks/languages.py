"""How well languages are read: `python -m benchmarks.languages [--fonts DIR]`, as a table.

The first article of the Universal Declaration of Human Rights is drawn with every font that has its letters, upright
and undamaged, at three sizes, and read by the chain of pages. Beside the share of characters that are right stand
the letters of the language, in both cases, that the recogniser's alphabet lacks and that so can never be read.

Fonts of the sample pages have Latin, Greek and Cyrillic letters; others are looked for below DIR, such as the folder of
Debian's fonts-noto-cjk.
"""

import argparse
import io
import json
import sys
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from quintet.engine.weights import NetworkStore
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings
from quintet.pages.weights import load_alphabet

from benchmarks.reading_order import word_similarity
from benchmarks.sample_pages.fonts import TEXT_FAMILIES, font_file

LANGUAGES = Path(__file__).with_suffix(".json")
SIZES_PX = (24, 32, 48)  # of the em: 8, 11 and 16 points at 216 dpi
_COLUMNS = 56
_MARGIN_PX = 80
_HEAD = "| language | characters right | at worst | pages | letters that are never read |\n|---|---|---|---|---|\n"
_MISSING = "\U0010ffff"  # no font has it: drawn as what stands for all it lacks
Font = ImageFont.FreeTypeFont


def fonts_of(folder: Path | None) -> list[Path]:
    """Files of fonts: those of the sample pages, and what lies below a folder."""
    found = [font_file(family, "regular") for family in TEXT_FAMILIES]
    below = folder.rglob("*") if folder else ()
    return found + sorted(path for path in below if path.suffix.lower() in {".otf", ".ttc", ".ttf"})


def has_letters(font: Font, text: str) -> bool:
    """Whether a font draws every character in its own way."""
    missing = bytes(font.getmask(_MISSING))
    return all(bytes(font.getmask(character)) != missing for character in set(text) - {" "})


def draw(text: str, font: Font) -> bytes:
    """A page with the text in lines, as PNG."""
    wide = any(unicodedata.east_asian_width(character) == "W" for character in text)
    lines = textwrap.wrap(text, _COLUMNS // 2 if wide else _COLUMNS)
    step_px = round(font.size * 1.6)
    size_px = (round(max(map(font.getlength, lines))) + 2 * _MARGIN_PX, step_px * len(lines) + 2 * _MARGIN_PX)
    page = Image.new("L", size_px, "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(page).text((_MARGIN_PX, _MARGIN_PX + number * step_px), line, fill="black", font=font)
    target = io.BytesIO()
    page.save(target, "PNG")
    return target.getvalue()


def similarity(expected: str, read: str) -> float:
    """One minus the normalised edit distance of the characters, composed, one blank between words if there are any."""
    blank = " " if " " in expected else ""
    found, true = (blank.join(unicodedata.normalize("NFC", text).split()) for text in (read, expected))
    return word_similarity(true, found)


def missing_letters(letters: str, alphabet: Sequence[str]) -> str:
    """Letters of a language that an alphabet lacks, in both cases; others than single letters have no upper case."""
    both = dict.fromkeys(case for letter in letters for case in (letter, letter.upper()) if len(case) == 1)
    return "".join(letter for letter in both if letter not in alphabet)


def measure(chain: PageChain, text: str, fonts: Sequence[Path]) -> Iterator[float]:
    """The score of each font that has the letters, at each size."""
    for path in fonts:
        for size_px in SIZES_PX:
            font = ImageFont.truetype(path, size_px)
            if has_letters(font, text):
                read: Any = chain([draw(text, font)])[0]
                yield similarity(text, "\n".join(line["text"] for line in read["lines"]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.languages", description=__doc__)
    parser.add_argument("--fonts", type=Path, metavar="DIR", help="with fonts of other scripts")
    parser.add_argument("--model-store", type=Path, default=Path("model_store"))
    options = parser.parse_args(arguments)
    chain = PageChain(Settings(), options.model_store)
    alphabet = load_alphabet(NetworkStore.of(options.model_store, PageChain.sources))
    fonts = fonts_of(options.fonts)
    sys.stdout.write(_HEAD)
    for name, language in json.loads(LANGUAGES.read_text("utf-8")).items():
        missing = missing_letters(language["letters"] or language["text"], alphabet)
        scores = list(measure(chain, language["text"], fonts))
        cells = f"{fmean(scores):.3f} | {min(scores):.3f}" if scores else "no font | "
        sys.stdout.write(f"| {name} | {cells} | {len(scores)} | {missing[:40] or 'none'} |\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
