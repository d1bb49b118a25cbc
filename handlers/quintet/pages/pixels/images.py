"""Encoded images to pixels on the host, as a viewer shows them. Needs Pillow alone, so that clients can do it too.

Colour images are held as one 32-bit word a pixel: R, G, B and one byte that nobody reads.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from quintet.errors import Code, PageError
from quintet.pages.settings import Settings

# Our own limits are held against the header before a pixel is decoded, so that Pillow's warning would come twice.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")
# How a frame begins whose entropy coding is arithmetic: sequential and progressive.
_ARITHMETIC = (b"\xff\xc9", b"\xff\xca")


@dataclass(frozen=True)
class Opened:
    """One encoded page whose header has been read and is within the limits; its pixels are not decoded yet."""

    body: bytes
    image: Image.Image  # what Pillow read of its header

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height as encoded; an EXIF turn may swap them."""
        return self.image.size


@dataclass(frozen=True)
class Picture:
    """One decoded page on the host."""

    image: Image.Image  # mode RGB

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
    return load_image(open_image(body, settings).image)


def open_image(body: bytes, settings: Settings) -> Opened:
    """Read the header alone and hold it against the limits.

    Raises:
        PageError: the body is empty, too large or of another format, or the image is too large or too small.
    """
    if not body:
        raise PageError(Code.EMPTY_BODY, "the body has no bytes: send one encoded image")
    if len(body) > settings.max_body_bytes:
        message = f"the body has {len(body)} bytes; allowed are {settings.max_body_bytes}"
        raise PageError(Code.IMAGE_TOO_LARGE, message)
    try:
        image = Image.open(io.BytesIO(body), formats=FORMATS)
    except Exception as error:  # as in `load_image`: damaged headers bring out errors of many types
        raise _not_an_image(body) from error
    check_size(image.size, settings)
    if image.format == "JPEG":
        _check_jpeg_is_whole(body, image.size)
    return Opened(body, image)


def load_image(image: Image.Image) -> Image.Image:
    """Decode the pixels of an opened image, to RGB as a viewer shows it.

    Raises:
        PageError: the image is damaged.
    """
    try:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)  # a copy would be 400 MB of the largest page
        return _to_rgb(image)
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
    return image if image.mode == "RGB" else image.convert("RGB")


def _not_an_image(body: bytes) -> PageError:
    """Tell a damaged image of a known format from one of another format, by its first bytes."""
    known = (b"\xff\xd8", b"\x89PNG", b"II*\0", b"MM\0*", b"BM")
    if body.startswith(known) or body[8:12] == b"WEBP":
        return PageError(Code.IMAGE_DECODE_FAILED, "the image is damaged or truncated")
    return PageError(Code.UNSUPPORTED_FORMAT, f"the body is none of {', '.join(FORMATS)}")


def _check_jpeg_is_whole(body: bytes, size_px: tuple[int, int]) -> None:
    """Refuse a JPEG that cannot hold its pixels: libjpeg fills what is missing with grey, and says nothing.

    Huffman coding takes at least one bit for each block of 8 x 8 pixels (ITU T.81, F.1.2); arithmetic coding may take
    less, but no camera or scanner writes it.
    """
    width, height = size_px
    blocks = -(-width // 8) * -(-height // 8)
    if 8 * len(body) < blocks and not any(marker in body for marker in _ARITHMETIC):
        message = f"the image is truncated: {len(body)} bytes cannot hold {width} x {height} pixels"
        raise PageError(Code.IMAGE_DECODE_FAILED, message)


def check_size(size_px: tuple[int, int], settings: Settings) -> None:
    """Hold the size that the header declares against the limits, before a pixel is decoded."""
    width, height = size_px
    if width * height > settings.max_page_pixels:
        message = f"the image has {width} x {height} pixels; allowed are {settings.max_page_pixels}"
        raise PageError(Code.IMAGE_TOO_LARGE, message)
    if min(size_px) < settings.min_page_side_px:
        message = f"the image has {width} x {height} pixels; each side needs {settings.min_page_side_px}"
        raise PageError(Code.IMAGE_TOO_SMALL, message)
