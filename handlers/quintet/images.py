"""Encoded images to pixels on the host, as a viewer shows them. Needs Pillow alone, so that clients can do it too.

Colour images are held as one 32-bit word a pixel: R, G, B and one byte that nobody reads.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from quintet.errors import Code, PageError
from quintet.settings import Settings

# Our own limits are held against the header before a pixel is decoded, so that Pillow's warning would come twice.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")


@dataclass(frozen=True)
class Picture:
    """One decoded page on the host.

    Attributes:
        image: mode RGB.
    """

    image: Image.Image

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        return self.image.size

    def copy_to(self, words: NDArray[np.int32]) -> None:
        """Write the pixels, row by row, into width x height words."""
        words[:] = np.frombuffer(self.image.tobytes("raw", "RGBX"), dtype=np.int32)


def decode_image(body: bytes, settings: Settings) -> Image.Image:
    """An RGB image as a viewer shows it: EXIF turned, transparency on white, first frame.

    Raises:
        PageError: the body is empty, too large, of another format or damaged, or the image is too large or too small.
    """
    if not body:
        raise PageError(Code.EMPTY_BODY, "the body has no bytes: send one encoded image")
    if len(body) > settings.max_body_bytes:
        message = f"the body has {len(body)} bytes; allowed are {settings.max_body_bytes}"
        raise PageError(Code.IMAGE_TOO_LARGE, message)
    try:
        image = Image.open(io.BytesIO(body), formats=FORMATS)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise _not_an_image(body) from error
    _check_size(image.size, settings)
    return _load(image)


def _load(image: Image.Image) -> Image.Image:
    """Decode the pixels of an opened image."""
    try:
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # Pillow's codecs raise many types on damaged input; each is this page's own failure.
        raise PageError(
            Code.IMAGE_DECODE_FAILED, f"the image is damaged or truncated ({type(error).__name__})"
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: 16-bit grey by its high byte, transparency composed on white."""
    if image.mode.startswith("I;16") or image.mode == "I":
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _not_an_image(body: bytes) -> PageError:
    """Tell a damaged image of a known format from one of another format, by its first bytes."""
    known = (b"\xff\xd8", b"\x89PNG", b"II*\0", b"MM\0*", b"BM")
    if body.startswith(known) or body[8:12] == b"WEBP":
        return PageError(Code.IMAGE_DECODE_FAILED, "the image is damaged or truncated")
    return PageError(Code.UNSUPPORTED_FORMAT, f"the body is none of {', '.join(FORMATS)}")


def _check_size(size_px: tuple[int, int], settings: Settings) -> None:
    """Hold the size that the header declares against the limits, before a pixel is decoded."""
    width, height = size_px
    if width * height > settings.max_page_pixels:
        message = f"the image has {width} x {height} pixels; allowed are {settings.max_page_pixels}"
        raise PageError(Code.IMAGE_TOO_LARGE, message)
    if min(size_px) < settings.min_page_side_px:
        message = f"the image has {width} x {height} pixels; each side needs {settings.min_page_side_px}"
        raise PageError(Code.IMAGE_TOO_SMALL, message)
