"""The typefaces of the sample pages, read out of PyPI packages so that none lies in this repository."""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFont

from benchmarks.sample_pages.records import Colour


@dataclass(frozen=True)
class Family:
    """Font files of one typeface, relative to the package that carries them."""

    package: str
    regular: str
    bold: str
    italic: str


@dataclass(frozen=True)
class Pen:
    """One font at one size in one ink: `size_px` is the em at 150 dpi, so capitals are about 0.7 of it high."""

    family: str
    size_px: float
    style: str
    colour: Colour

    @property
    def line_height(self) -> float:
        """From one line's top to the next one's, single-spaced."""
        return self.size_px * 1.3


FAMILIES = {
    "source-sans": Family(
        "font_source_sans_pro",
        "files/SourceSansPro-Regular.ttf",
        "files/SourceSansPro-Bold.ttf",
        "files/SourceSansPro-It.ttf",
    ),
    "source-serif": Family(
        "font_source_serif_pro",
        "files/SourceSerifPro-Regular.ttf",
        "files/SourceSerifPro-Semibold.ttf",
        "files/SourceSerifPro-It.ttf",
    ),
    "hanken-grotesk": Family(
        "font_hanken_grotesk",
        "files/HankenGrotesk-Regular.otf",
        "files/HankenGrotesk-Bold.otf",
        "files/HankenGrotesk-Italic.otf",
    ),
    "caladea": Family(
        "font_caladea", "files/Caladea-Regular.ttf", "files/Caladea-Bold.ttf", "files/Caladea-Italic.ttf"
    ),
    # One file serves all styles: tills and typewriters have no italics.
    "droid-mono": Family("captcha", "data/DroidSansMono.ttf", "data/DroidSansMono.ttf", "data/DroidSansMono.ttf"),
}
TEXT_FAMILIES = ("source-sans", "source-serif", "hanken-grotesk", "caladea")
TILL_FAMILIES = ("droid-mono", "droid-mono", "source-sans", "hanken-grotesk")


@functools.cache
def font_file(family: str, style: str) -> Path:
    """Path of a font file.

    Raises:
        FileNotFoundError: if the package that carries the font is not installed.
    """
    package = FAMILIES[family].package
    # find_spec runs none of the package's code.
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / str(getattr(FAMILIES[family], style))
        if path.is_file():
            return path
    raise FileNotFoundError(f"font {family!r} comes with the package {package!r}: install the extra quintet[dev]")


def load_font(pen: Pen, scale: float = 1.0) -> ImageFont.FreeTypeFont:
    """The pen's font ready to draw with, `scale` times its size.

    Raises:
        FileNotFoundError: if the package that carries the font is not installed.
    """
    return _open_font(font_file(pen.family, pen.style), pen.size_px * scale)


@functools.lru_cache(maxsize=256)
def _open_font(path: Path, size_px: float) -> ImageFont.FreeTypeFont:
    """Open a font file; kept, because opening takes longer than drawing a line."""
    # Pillow's basic layout is always there; the better one depends on the system, and so would the bytes of a page.
    return ImageFont.truetype(path, size_px, layout_engine=ImageFont.Layout.BASIC)
