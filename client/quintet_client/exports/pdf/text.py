"""The invisible text layer of a PDF page: every word stretched to its box."""

import cmath
import math
from collections.abc import Iterator

from pikepdf import Matrix

from quintet_client.api.results import PageResult, PointPx, QuadPx, Word
from quintet_client.exports.layout.words import part_of, runs_leftward, words_of
from quintet_client.exports.pdf.glyphless import GlyphlessFont, glyph_em

FONT_NAME = "/Quintet"
# Scans are skewed by a few degrees at most; what leans further was meant to.
_LEVEL_DEG = 8.0
_INVISIBLE = 3
# Words may touch. PDFium drops a space that reaches into a word, poppler one that is less than a tenth as wide as the
# text is high: so much comes off the word before it. Both give all words of 32 sample pages back.
_THIN = 0.12


def text_layer(page: PageResult, to_points: Matrix, font: GlyphlessFont) -> bytes:
    """Write a page's text as a content stream.

    Words keep their order and are followed by a space, so that readers neither join nor split them; each is stretched
    to its quad, whatever its angle. `to_points` leads from the picture as it is shown to the PDF page's own frame.
    """
    shown = [
        _shown(text, quad_px, to_points, font)
        for line in page.lines
        for text, quad_px in _pieces(words_of(line))
        if len(set(quad_px)) == 4
    ]
    return b"\n".join([b"q BT", f"{_INVISIBLE} Tr {FONT_NAME} 1 Tf".encode(), *shown, b"ET Q"])


def _pieces(words: tuple[Word, ...]) -> Iterator[tuple[str, QuadPx]]:
    """Yield words and the spaces behind them, with corners that begin where their first character does."""
    quads = [_from_its_start(word) for word in words]
    for place, (word, quad_px) in enumerate(zip(words, quads, strict=True)):
        if place + 1 == len(words):
            yield word.text, quad_px
            return
        end, space = 1.0, glyph_em(" ") / sum(map(glyph_em, word.text))
        following = _share_along(quad_px, quads[place + 1][0])
        if following > 0:  # else the text turns round here
            thin = _THIN * math.dist(quad_px[0], quad_px[3]) / math.dist(quad_px[0], quad_px[1])
            end = max(0.5, min(1.0, following - thin))
            space = min(space, max(following - end, thin))
        yield word.text, part_of(quad_px, 0, end)
        yield " ", part_of(quad_px, end, end + space)


def _from_its_start(word: Word) -> QuadPx:
    """The corners of a word from where its first character begins."""
    top_left, top_right, bottom_right, bottom_left = word.quad_px
    return (top_right, top_left, bottom_left, bottom_right) if runs_leftward(word.text) else word.quad_px


def _share_along(quad_px: QuadPx, point: PointPx) -> float:
    """How far along a quad's first edge a point lies, 0 at its start and 1 at its end; 0 if it has no length."""
    (x0, y0), (x1, y1) = quad_px[:2]
    length = (x1 - x0) ** 2 + (y1 - y0) ** 2
    return ((point[0] - x0) * (x1 - x0) + (point[1] - y0) * (y1 - y0)) / length if length else 0.0


def _shown(text: str, quad_px: QuadPx, to_points: Matrix, font: GlyphlessFont) -> bytes:
    """Write one piece of text: its bottom edge is the baseline, its left edge the font's height."""
    # Numbers on the complex plane, where a turn is a product.
    top_left, _top_right, bottom_right, bottom_left = (complex(*to_points.transform(corner)) for corner in quad_px)
    along, up = _straightened(bottom_right - bottom_left, top_left - bottom_left)
    origin = (bottom_right + top_left) / 2 - (along + up) / 2
    step = along / sum(map(glyph_em, text))
    matrix = (step.real, step.imag, up.real, up.imag, origin.real, origin.imag)
    return f"{numbers(matrix)} Tm <{font.encode(text).hex()}> Tj".encode()


def _straightened(along: complex, up: complex) -> tuple[complex, complex]:
    """Turn the edges of a word that is almost level or upright to be quite so: a skewed line becomes a staircase.

    poppler begins a new word where the baseline is half a point off the word's first character, and then puts parts
    of neighbouring columns together: of 30 receipts and sample pages 29 return all words with this, 26 without.
    """
    angle_deg = math.degrees(cmath.phase(along))
    level_deg = 90 * round(angle_deg / 90)
    turn = cmath.rect(1, math.radians(level_deg - angle_deg)) if abs(angle_deg - level_deg) <= _LEVEL_DEG else 1
    return along * turn, up * turn


def numbers(values: tuple[float, ...]) -> str:
    """Write numbers as PDF has them: no exponents, a thousandth of a point being more than enough."""
    return " ".join(f"{value:.3f}" for value in values)
