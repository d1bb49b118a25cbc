"""Encoded images to pixels on the host, as a viewer shows them. Needs Pillow alone, so that clients can do it too.

Pixels are handed on as one 32-bit word each: R, G, B and one byte that nobody reads.
"""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from PIL import Image, ImageOps, features

from quintet.errors import Code, PageError
from quintet.pixels.formats import FORMATS, PDF, format_of
from quintet.pixels.jpeg_markers import can_hold, count_scans, is_plain

# Our own limits are held against the header before a pixel is decoded, so that Pillow's warning would come twice.
Image.MAX_IMAGE_PIXELS = None

WORD_BYTES = 4
# Encoders write 1 scan, or 10 (libjpeg) to 18 (of four colours) progressive ones; each costs a pass over all pixels.
MAX_JPEG_SCANS = 50
# What a codec has besides, whatever the image: tables, rows, and the conversion of one strip.
_CODEC_BYTES = 48 << 20
_STRIP_PIXELS = 1 << 20
_NO_MEMORY = ("out of memory", "decoder error -9")  # Pillow's words for it, where it is no MemoryError
_SMALL_MODES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}  # bytes a pixel; others have 4
# Bytes a pixel that a codec has beside Pillow's image. JPEG: coefficients of up to four components, where there are
# several scans. TIFF: one strip may hold the whole image, and libtiff turns it into RGBA. WebP: two canvases, a frame.
# GIF: the frame, and the screen that it is pasted on. JPEG 2000: four bytes a sample where one tile is the image, and
# its samples once more; RGBA takes 26 in all. AVIF, HEIF: planes of up to 16 bits, and RGBA twice; with 8 bits and
# 4:4:4 they take 11 in all, HEIF with 10 bits 20.
_CODEC_PIXEL_BYTES = {"JPEG": 8, "MPO": 8, "TIFF": 8, "WEBP": 12, "GIF": 4, "JPEG2000": 20, "AVIF": 16, "HEIF": 16}
# Noise without loss takes 1 s of a CPU for 2.1 megapixels (JPEG 2000), 4.1 (HEIF) and 9.9 (AVIF); PNG takes 30.
_SLOW_FORMATS, SLOW_TIMES = {"JPEG2000", "AVIF", "HEIF"}, 3
_OF_PILLOW = tuple(form for form in FORMATS if form != "HEIF")
# What Pillow may be built without, by its own words.
_LIBRARIES = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}


class ImageLimits(Protocol):
    """What an image may be: the settings of the chain, or what a service says of itself."""

    @property
    def max_body_bytes(self) -> int:
        """Of the encoded image."""

    @property
    def max_page_pixels(self) -> int:
        """Width times height."""

    @property
    def min_page_side_px(self) -> int:
        """Of width and height alike."""


@dataclass(frozen=True)
class Opened:
    """One encoded page whose header has been read and is within the limits; its pixels are not decoded yet."""

    body: bytes
    image: Image.Image  # what Pillow read of its header

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height as encoded; an EXIF turn may swap them."""
        return self.image.size

    @property
    def is_plain_jpeg(self) -> bool:
        """Whether a device may decode it."""
        return is_plain(self.body, self.image)

    @property
    def decode_bytes(self) -> int:
        """The most memory that decoding may take, the words that come out of it left out.

        Pillow's image, once more where EXIF turns it, and what the codec has beside it.
        """
        image = self.image
        pixel_bytes = 2 * _SMALL_MODES.get(image.mode, 4) + _CODEC_PIXEL_BYTES.get(image.format or "", 0)
        return image.width * image.height * pixel_bytes + 2 * len(self.body) + _CODEC_BYTES

    @property
    def decode_times(self) -> int:
        """How many times as long as another image of its size it may take."""
        return SLOW_TIMES if self.image.format in _SLOW_FORMATS else 1


def most_decode_bytes(limits: ImageLimits) -> int:
    """`Opened.decode_bytes` of the image that takes most within the limits."""
    pixel_bytes = 2 * 4 + max(_CODEC_PIXEL_BYTES.values())
    return limits.max_page_pixels * pixel_bytes + 2 * limits.max_body_bytes + _CODEC_BYTES


def decode_image(body: bytes, limits: ImageLimits) -> Image.Image:
    """An RGB image as a viewer shows it: EXIF turned, transparency on white, first frame.

    Raises:
        PageError: the body is empty, too large, of another format or damaged, or the image is too large or too small.
    """
    return load_image(open_image(body, limits).image)


def open_image(body: bytes, limits: ImageLimits) -> Opened:
    """Read the header alone and hold it against the limits.

    Raises:
        PageError: the body is empty, too large or of another format, the image is too large or too small, or a JPEG
            has more than `MAX_JPEG_SCANS`.
    """
    if not body:
        raise PageError(Code.EMPTY_BODY, "the body has no bytes: send one encoded image")
    if len(body) > limits.max_body_bytes:
        message = f"the body has {len(body)} bytes; allowed are {limits.max_body_bytes}"
        raise PageError(Code.IMAGE_TOO_LARGE, message)
    image = opened(body)
    check_size(image.size, limits)
    if image.format in {"JPEG", "MPO"}:
        _check_jpeg(body, image)
    return Opened(body, image)


def opened(body: bytes) -> Image.Image:
    """Read the header alone of an image of any size; raises PageError as `open_image`."""
    plugins = _plugins(format_of(body))
    try:
        return Image.open(io.BytesIO(body), formats=plugins)
    except MemoryError as error:
        raise takes_too_much() from error
    except Exception as error:  # as in `_decoding`: damaged headers bring out errors of many types
        raise _not_an_image(body) from error


def load_image(image: Image.Image) -> Image.Image:
    """Decode the pixels of an opened image, to RGB as a viewer shows it.

    Raises:
        PageError: the image is damaged, or there is no memory for it.
    """
    with _decoding():
        return _to_rgb(_loaded(image))


def load_words(image: Image.Image, memory: memoryview) -> tuple[int, int]:
    """Decode the pixels of an opened image into `WORD_BYTES` each, row by row; returns its width and height.

    Converts a strip at a time, as a copy of the largest page has 400 MB.

    Raises:
        PageError: the image is damaged, there is no memory for it, or it has another number of pixels than its header
            says.
    """
    with _decoding():
        image = _loaded(image)
        if image.width * image.height * WORD_BYTES != len(memory):
            raise ValueError("the image has another size than its header says")
        end = 0
        rows = max(1, _STRIP_PIXELS // image.width)
        for top in range(0, image.height, rows):
            strip = image.crop((0, top, image.width, min(top + rows, image.height))) if rows < image.height else image
            words = _to_rgb(strip).tobytes("raw", "RGBX")
            begin, end = end, end + len(words)
            memory[begin:end] = words
        return image.size


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    """Pillow's codecs raise many types on damaged input; each is this page's own failure."""
    try:
        yield
    except MemoryError as error:
        raise takes_too_much() from error
    except Exception as error:
        if any(words in str(error) for words in _NO_MEMORY):
            raise takes_too_much() from error
        raise PageError(Code.IMAGE_DECODE_FAILED, "the image is damaged or truncated") from error


def _loaded(image: Image.Image) -> Image.Image:
    image.load()
    ImageOps.exif_transpose(image, in_place=True)  # a copy would be 400 MB of the largest page
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: 16-bit grey by its high byte, transparency composed on white."""
    if image.mode.startswith("I;16") or image.mode == "I":
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def takes_too_much() -> PageError:
    """What to say of an image for which there is not enough memory."""
    return PageError(Code.IMAGE_TOO_LARGE, "decoding takes more memory than an image of this size may have")


def _plugins(form: str) -> tuple[str, ...]:
    """What Pillow may open a body with; its plugins for AVIF and HEIF are told to decode in one thread.

    Each of their own would count against the memory of the page, and a machine has many cores.

    Raises:
        PageError: HEIF needs a package that is not installed.
    """
    if form == "AVIF":
        from PIL import AvifImagePlugin  # noqa: PLC0415 - a library of its own, for the first such image

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    if form != "HEIF":
        return _OF_PILLOW
    try:
        import pillow_heif  # noqa: PLC0415 - likewise, and it may not be installed
    except ModuleNotFoundError as error:
        message = "HEIF images (.heic) need pillow-heif, which is not installed here: pip install 'quintet[heic]'"
        raise PageError(Code.UNSUPPORTED_FORMAT, message) from error
    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
    return ("HEIF",)


def _not_an_image(body: bytes) -> PageError:
    form = format_of(body)
    if form in _LIBRARIES and not features.check(_LIBRARIES[form]):
        return PageError(Code.UNSUPPORTED_FORMAT, f"the Pillow that is installed here does not decode {form}")
    if form in FORMATS:
        return PageError(Code.IMAGE_DECODE_FAILED, "the image is damaged or truncated")
    hint = "; it is a PDF: give its file the extension .pdf" if form == PDF else ""
    return PageError(Code.UNSUPPORTED_FORMAT, f"the body is none of {', '.join(FORMATS)}{hint}")


def _check_jpeg(body: bytes, image: Image.Image) -> None:
    if count_scans(body, MAX_JPEG_SCANS) > MAX_JPEG_SCANS:
        raise PageError(Code.IMAGE_TOO_COMPLEX, f"the JPEG has more than {MAX_JPEG_SCANS} scans: encode it anew")
    if image.format == "JPEG" and not can_hold(body, image.size):
        message = f"the image is truncated: {len(body)} bytes cannot hold {image.width} x {image.height} pixels"
        raise PageError(Code.IMAGE_DECODE_FAILED, message)


def check_size(size_px: tuple[int, int], limits: ImageLimits) -> None:
    """Hold the size that the header declares against the limits, before a pixel is decoded."""
    width, height = size_px
    if width * height > limits.max_page_pixels:
        message = f"the image has {width} x {height} pixels; allowed are {limits.max_page_pixels}"
        raise PageError(Code.IMAGE_TOO_LARGE, message)
    if min(size_px) < limits.min_page_side_px:
        message = f"the image has {width} x {height} pixels; each side needs {limits.min_page_side_px}"
        raise PageError(Code.IMAGE_TOO_SMALL, message)
