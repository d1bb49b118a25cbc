"""Drawn pages that a chain reads before its first real one, so that nobody's page pays for what first calls cost.

Engines prepare their kernels for each shape when it comes first: lines of many widths, canvases upright and lying, line
counts that leave calls part-filled. And they take their memory: in pieces, as canvases grow, it has holes in the end.
"""

import io
import itertools

from PIL import Image, ImageDraw, ImageFont

# A4 and a till receipt at 150 dpi; content turned so that canvases lie as well as stand.
_SIZES_PX = ((1240, 1754), (600, 1400))
# Text detection has no larger canvas. Without it first, folders of all sizes take 4.0 instead of 3.5 GB on two cores.
_LARGEST_PX = (1280, 1280)
_TURNS_DEG = (0, 90)
_FONT_PX = 30
_LINE_STEP_PX = 84
_MARGIN_PX = 60
_TEXT = "Quintet 0123456789 reads this page before it reads yours, and then forgets it again. Total 1,249.50 EUR"


def draw_pages(count: int) -> list[bytes]:
    """JPEGs with lines from a word to the width of the page.

    Args:
        count: how many with the largest canvas, and how many others, whose sizes and turns alternate.
    """
    others = itertools.islice(itertools.cycle(itertools.product(_SIZES_PX, _TURNS_DEG)), count)
    return [_draw(size_px, turn_deg) for size_px, turn_deg in [(_LARGEST_PX, 0)] * count + list(others)]


def _draw(size_px: tuple[int, int], turn_deg: int) -> bytes:
    page = Image.new("RGB", size_px, "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(_FONT_PX)
    tops = range(_MARGIN_PX, size_px[1] - 2 * _MARGIN_PX, _LINE_STEP_PX)
    longest = (size_px[0] - 2 * _MARGIN_PX) * 2 // _FONT_PX  # characters of about half the font's height
    for number, top in enumerate(tops):
        pen.text((_MARGIN_PX, top), _TEXT[: 3 + (longest - 3) * number // len(tops)], fill="black", font=font)
    body = io.BytesIO()
    page.rotate(-turn_deg, expand=True).save(body, "JPEG")
    return body.getvalue()
