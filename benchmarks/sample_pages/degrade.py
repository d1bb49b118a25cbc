"""What happens between the drawn sheet and the file: skew, light, grain, blur, the turn and the encoder.

Geometry moves the image and the truth together; nothing else moves a pixel.
"""

import io
import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from benchmarks.sample_pages.records import Colour, Damage, Point, Quad

# Pillow names its transposes by counter-clockwise angle, the truth by clockwise.
_TRANSPOSES = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


def damage_image(image: Image.Image, damage: Damage, paper: Colour, noise: np.random.Generator) -> Image.Image:
    """The image as it would come out of the scanner; width and height swap for a quarter turn."""
    image = _skew(image, damage.skew_deg, paper)
    if damage.blur_px:
        image = image.filter(ImageFilter.GaussianBlur(damage.blur_px))
    if damage.grey:
        image = image.convert("L")
    if damage.shade or damage.noise_std:
        image = _light(image, damage, noise)
    return image.transpose(_TRANSPOSES[damage.turn_deg]) if damage.turn_deg else image


def damage_quad(quad: Quad, damage: Damage, width_px: int, height_px: int) -> Quad:
    """Where a quad of the sheet, `width_px` by `height_px`, lies in the damaged image; corners keep their order."""
    a, b, c, d = (_turn_point(_skew_point(p, damage, width_px, height_px), damage, width_px, height_px) for p in quad)
    return a, b, c, d


def encode_image(image: Image.Image, jpeg_quality: int | None) -> bytes:
    """A JPEG of that quality, or a PNG if there is none."""
    body = io.BytesIO()
    if jpeg_quality is None:
        # Level 1 is five times as fast as the default and a tenth larger.
        image.save(body, "PNG", compress_level=1)
    else:
        image.save(body, "JPEG", quality=jpeg_quality)
    return body.getvalue()


def _skew(image: Image.Image, clockwise_deg: float, paper: Colour) -> Image.Image:
    """Rotate about the centre on the same canvas; corners that come into view are paper."""
    # Pillow's rotate is counter-clockwise.
    return image.rotate(-clockwise_deg, Image.Resampling.BICUBIC, fillcolor=paper) if clockwise_deg else image


def _skew_point(point: Point, damage: Damage, width_px: int, height_px: int) -> Point:
    """The same rotation for a point."""
    sin, cos = math.sin(math.radians(damage.skew_deg)), math.cos(math.radians(damage.skew_deg))
    x, y = point[0] - width_px / 2, point[1] - height_px / 2
    # y runs down, so this matrix turns clockwise as seen.
    return x * cos - y * sin + width_px / 2, x * sin + y * cos + height_px / 2


def _turn_point(point: Point, damage: Damage, width_px: int, height_px: int) -> Point:
    """Where a point of the upright sheet lies after the clockwise turn."""
    x, y = point
    turned = {0: (x, y), 90: (height_px - y, x), 180: (width_px - x, height_px - y), 270: (y, width_px - x)}
    return turned[damage.turn_deg]


def _light(image: Image.Image, damage: Damage, noise: np.random.Generator) -> Image.Image:
    """Uneven light, falling off along a random direction, and grain that is the same in all channels."""
    down = _fall(image.height, damage.shade / 2, noise)[:, None]
    across = _fall(image.width, damage.shade / 2, noise)[None, :]
    grain = noise.standard_normal((image.height, image.width), dtype=np.float32) * np.float32(damage.noise_std)
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim == 3:
        down, across, grain = down[..., None], across[..., None], grain[..., None]
    return Image.fromarray(np.clip(pixels * down * across + grain + 0.5, 0, 255).astype(np.uint8))


def _fall(length: int, depth: float, noise: np.random.Generator) -> npt.NDArray[np.float32]:
    """Factors that fall from 1 to 1 - depth along an edge, from one end or the other. Shape (length,)."""
    fall = np.linspace(1.0, 1.0 - depth, length, dtype=np.float32)
    return fall[::-1] if noise.random() < 0.5 else fall
