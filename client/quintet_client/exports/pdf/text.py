"""The invisible text layer of a PDF page: every word under its picture, stretched to its box."""

import math
from collections.abc import Iterator

from quintet_client.api.results import PageResult, PointPx
from quintet_client.exports.layout.words import Word, part_of, words_of
from quintet_client.exports.pdf.glyphless import GlyphlessFont, width_em

# a b c d e f, as PDF writes transforms: x' = a x + c y + e, y' = b x + d y + f.
Matrix = tuple[float, float, float, float, float, float]

FONT_NAME = "/Quintet"
# Scans are skewed by a few degrees at most; what leans further was meant to.
_LEVEL_DEG = 8.0
_INVISIBLE = 3


def text_layer(page: PageResult, to_points: Matrix, font: GlyphlessFont) -> bytes:
    """Write a page's text as a content stream.

    Words keep their order and are followed by a space, so that readers neither join nor split them; each is stretched
    to its quad, whatever its angle.

    Args:
        page: the page; its frame is the picture as a viewer shows it.
        to_points: from that frame to the PDF page's own.
        font: where the characters get their codes.
    """
    shown = [
        _shown(text, quad_px, to_points, font)
        for line in page.lines
        for text, quad_px in _pieces(words_of(line))
        if len(set(quad_px)) == 4
    ]
    return b"\n".join([b"q BT", f"{_INVISIBLE} Tr {FONT_NAME} 1 Tf".encode(), *shown, b"ET Q"])


def _pieces(words: tuple[Word, ...]) -> Iterator[tuple[str, tuple[PointPx, ...]]]:
    """Yield words and the spaces behind them, with corners that begin where their first character does."""
    for place, word in enumerate(words):
        top_left, top_right, bottom_right, bottom_left = word.quad_px
        quad_px = (top_right, top_left, bottom_left, bottom_right) if word.leftward else word.quad_px
        yield word.text, quad_px
        if place + 1 < len(words):
            share = width_em(" ") / sum(map(width_em, word.text))
            yield " ", part_of(quad_px, 1, 1 + share)


def _shown(text: str, quad_px: tuple[PointPx, ...], to_points: Matrix, font: GlyphlessFont) -> bytes:
    """Write one piece of text: its bottom edge is the baseline, its left edge the font's height."""
    top_left, _top_right, bottom_right, bottom_left = (_moved(point, to_points) for point in quad_px)
    length_em = sum(map(width_em, text))
    along, up = _straightened(_minus(bottom_right, bottom_left), _minus(top_left, bottom_left))
    middle = ((bottom_right[0] + top_left[0]) / 2, (bottom_right[1] + top_left[1]) / 2)
    origin = (middle[0] - (along[0] + up[0]) / 2, middle[1] - (along[1] + up[1]) / 2)
    matrix = (along[0] / length_em, along[1] / length_em, *up, *origin)
    return f"{numbers(matrix)} Tm <{font.encode(text).hex()}> Tj".encode()


def _straightened(along: PointPx, up: PointPx) -> tuple[PointPx, PointPx]:
    """Turn the edges of a word that is almost level or upright to be quite so: a skewed line becomes a staircase.

    poppler begins a new word where the baseline is half a point off the word's first character, and then puts parts
    of neighbouring columns together: of 30 receipts and sample pages 29 give back all words with this, 26 without.
    """
    angle_deg = math.degrees(math.atan2(along[1], along[0]))
    if abs(angle_deg - 90 * round(angle_deg / 90)) > _LEVEL_DEG:
        return along, up
    turn = math.radians(90 * round(angle_deg / 90) - angle_deg)
    return _turned(along, turn), _turned(up, turn)


def _turned(vector: PointPx, angle_rad: float) -> PointPx:
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    return (cos * vector[0] - sin * vector[1], sin * vector[0] + cos * vector[1])


def _minus(first: PointPx, second: PointPx) -> PointPx:
    return (first[0] - second[0], first[1] - second[1])


def _moved(point: PointPx, matrix: Matrix) -> PointPx:
    a, b, c, d, e, f = matrix
    return (a * point[0] + c * point[1] + e, b * point[0] + d * point[1] + f)


def numbers(values: tuple[float, ...]) -> str:
    """Write numbers as PDF has them: no exponents, a thousandth of a point being more than enough."""
    return " ".join(f"{value:.3f}" for value in values)
