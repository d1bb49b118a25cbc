"""Rendered pages as encoded images that the service takes. Needs Pillow alone."""

import io
import math

from PIL import Image, ImageChops
from quintet.errors import Code
from quintet.pixels.documents.pages import Pages

from quintet_client.errors import PageError
from quintet_client.service.page import Limits

# A sixth of PNG's time and half its bytes, and the same words (docs/performance.md); text keeps its colour at 4:4:4.
_JPEG_QUALITY = 95
_LONGEST_JPEG_SIDE_PX = 65_500
# What random pixels of any size come down to within a few steps.
_SMALLER = 0.9
_BLACK_AND_WHITE = {(0, 0, 0), (255, 255, 255)}


def encoded_page(pages: Pages, number: int, dpi: int, limits: Limits) -> tuple[bytes, str]:
    """A page at so many pixels an inch, or at fewer where the service would take no more.

    Returns:
        The encoded image, and what is to be said about it, if anything.

    Raises:
        quintet.errors.PageError: the page cannot be had, or is larger or smaller than an image may be.
        PageError: it has its own resolution, and more bytes than are sent.
    """
    most = limits.largest_body_bytes
    used_dpi = pages.dpi_within(number, dpi, limits)
    body = encoded(pages.image(number, used_dpi, limits))
    while len(body) > most:
        if not pages.has_dpi:
            raise PageError(Code.IMAGE_TOO_LARGE, f"the page has {len(body)} bytes; at most {most} are sent")
        used_dpi *= _SMALLER * math.sqrt(most / len(body))
        body = encoded(pages.image(number, used_dpi, limits))
    note = f"rendered at {used_dpi:.1f} dpi: at {dpi} it would be larger than the service takes"
    return body, note if used_dpi < dpi else ""


def encoded(image: Image.Image) -> bytes:
    """Encode an RGB page; the same pixels give the same bytes. Black and white alone stays so: one bit a pixel."""
    target = io.BytesIO()
    if _is_black_and_white(image):
        image.convert("1", dither=Image.Dither.NONE).save(target, "PNG", compress_level=1)
    elif max(image.size) > _LONGEST_JPEG_SIDE_PX:
        _grey_if_it_is(image).save(target, "PNG", compress_level=1)
    else:
        _grey_if_it_is(image).save(target, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return target.getvalue()


def _is_black_and_white(image: Image.Image) -> bool:
    colours = image.getcolors(len(_BLACK_AND_WHITE))  # None as soon as it has found more
    return colours is not None and {colour for _, colour in colours} <= _BLACK_AND_WHITE


def _grey_if_it_is(image: Image.Image) -> Image.Image:
    """The one channel of a page without colours: a third of the work for everybody behind."""
    red, green, blue = image.split()
    coloured = ImageChops.difference(red, green).getbbox() or ImageChops.difference(green, blue).getbbox()
    return image if coloured else red
