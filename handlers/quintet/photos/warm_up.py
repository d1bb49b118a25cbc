"""Drawn photos that a chain looks at before its first real one, so that nobody's photo pays for what first calls cost.

All five networks are to run: a drawn face passes P-Net at least, and the word is found.
"""

import io
import itertools

from PIL import Image, ImageDraw, ImageFont

_SIZES_PX = ((1280, 960), (960, 1280))  # as large as canvases of text detection get


def draw_photos(count: int) -> list[bytes]:
    """JPEGs with a face and a word, lying and standing in turn."""
    return [_draw(size_px) for size_px in itertools.islice(itertools.cycle(_SIZES_PX), count)]


def _draw(size_px: tuple[int, int]) -> bytes:
    photo = Image.effect_noise(size_px, 30).convert("RGB")
    pen = ImageDraw.Draw(photo)
    for left, side in ((40, 60), (160, 120), (340, 240)):
        x, y = (left + side / 2, 100 + side / 2)
        pen.ellipse((left, 100, left + side, 100 + 1.3 * side), "#d8a888")
        for eye in (-0.2, 0.2):
            pen.ellipse((x + (eye - 0.08) * side, y - 0.1 * side, x + (eye + 0.08) * side, y), "#302018")
        pen.polygon([(x, y), (x - 0.08 * side, y + 0.25 * side), (x + 0.08 * side, y + 0.25 * side)], "#b07858")
        pen.ellipse((x - 0.2 * side, y + 0.4 * side, x + 0.2 * side, y + 0.48 * side), "#903838")
    pen.text((40, 600), "Quintet looks at this photo", "white", font=ImageFont.load_default(48), stroke_width=2)
    body = io.BytesIO()
    photo.save(body, "JPEG")
    return body.getvalue()
