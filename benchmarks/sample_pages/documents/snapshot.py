"""A photo of a board or a label: few big words in perspective, before a background that is no paper."""

import random

import numpy as np
from PIL import Image

from benchmarks.sample_pages import words
from benchmarks.sample_pages.fonts import TEXT_FAMILIES, Pen
from benchmarks.sample_pages.records import Brief, Colour, Point, Quad
from benchmarks.sample_pages.sheet import Sheet
from benchmarks.sample_pages.style import choose_style

_SIDES = ((900, 1200), (1200, 900), (1000, 1000))
_BOARDS: tuple[Colour, ...] = (
    (30, 60, 45),
    (25, 25, 30),
    (110, 30, 30),
    (230, 225, 210),
    (245, 245, 245),
    (235, 200, 90),
)
_DARK, _LIGHT = (20, 20, 25), (250, 248, 240)
_LINES = (1, 7)
_TEXT_UNITS = (32, 100)
# How far a corner of the board lies within the picture, as a share of its sides: as a whole, and each for itself.
_INSETS = (0.02, 0.3)
_TILT = 0.1
_PATCHES = (5, 9)  # of the background, along a side


def draw_snapshot(rng: random.Random, brief: Brief) -> Sheet:
    """Draw a board of one to seven lines as a camera sees it; how many words there are is not the brief's affair."""
    width, height = rng.choice(_SIDES)
    board = rng.choice(_BOARDS)
    sheet = Sheet(width, height, board, brief.scale)
    style = choose_style(rng, TEXT_FAMILIES, *_TEXT_UNITS)
    pen = style.pen(style="bold", colour=_LIGHT if sum(board) < 3 * 128 else _DARK)
    margin, y = width * rng.uniform(0.08, 0.2), height * rng.uniform(0.1, 0.35)
    align, x = ("middle", width / 2) if rng.random() < 0.5 else ("left", margin)
    for line in _said(rng, sheet, pen, width - 2 * margin):
        if y + pen.line_height < height * 0.92:
            y = sheet.write(x, y, line, pen, align)
    _photograph(sheet, rng)
    return sheet


def _said(rng: random.Random, sheet: Sheet, pen: Pen, width: float) -> list[str]:
    """The lines of a board; a word that is wider than the board is left out."""
    texts = [rng.choice((words.heading, words.person, words.sentence, words.company))(rng) for _ in range(3)]
    lines = [line for text in texts for line in sheet.wrap(text, pen, width)]
    return [line for line in lines if sheet.text_width(line, pen) <= width][: rng.randint(*_LINES)]


def _photograph(sheet: Sheet, rng: random.Random) -> None:
    """Put what a camera sees of a sheet in its place, and move the truth along."""
    width, height = sheet.image.size
    flat = ((0, 0), (width, 0), (width, height), (0, height))
    left, top, right, bottom = (rng.uniform(*_INSETS) for _ in range(4))
    insets = ((left, top), (right, top), (right, bottom), (left, bottom))
    seen = [
        (abs(x - (dx + rng.uniform(0, _TILT)) * width), abs(y - (dy + rng.uniform(0, _TILT)) * height))
        for (x, y), (dx, dy) in zip(flat, insets, strict=True)
    ]
    to_sheet = _homography(seen, flat)
    turned = sheet.image.convert("RGBA").transform(
        sheet.image.size, Image.Transform.PERSPECTIVE, to_sheet.ravel()[:8].tolist(), Image.Resampling.BICUBIC
    )
    background = _background(sheet.image.size, rng)
    background.paste(turned, mask=turned)
    sheet.image.paste(background)
    to_picture = np.linalg.inv(to_sheet)

    def moved(quad: Quad) -> Quad:
        a, b, c, d = (_mapped(to_picture, point) for point in quad)
        return a, b, c, d

    sheet.lines[:] = [line.moved(moved) for line in sheet.lines]


def _homography(source: list[Point], target: tuple[Point, ...]) -> np.ndarray:
    """The 3 x 3 matrix that maps four points of one plane to four of another; its last number is 1."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return np.append(np.linalg.solve(np.array(rows), np.array(target).ravel()), 1.0).reshape(3, 3)


def _mapped(matrix: np.ndarray, point: Point) -> Point:
    x, y, w = matrix @ (*point, 1.0)
    return float(x / w), float(y / w)


def _background(size: tuple[int, int], rng: random.Random) -> Image.Image:
    """Soft patches of colour with grain: a wall, a table, a street out of focus."""
    noise = np.random.default_rng(rng.getrandbits(64))
    few = noise.integers(0, 256, (rng.randint(*_PATCHES), rng.randint(*_PATCHES), 3), dtype=np.uint8)
    patches = np.asarray(Image.fromarray(few).resize(size, Image.Resampling.BICUBIC), np.float32)
    grain = noise.normal(0, rng.uniform(2, 18), patches.shape[:2])[..., None]
    return Image.fromarray(np.clip(patches + grain, 0, 255).astype(np.uint8))
