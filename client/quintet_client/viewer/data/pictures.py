"""Pages as images for the screen: thumbnails the right way up, and full images that a browser can show.

Pages of documents are rendered by a separate process (see `input.documents.renderer`).
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from quintet.errors import PageError
from quintet.pixels.formats import FORMATS, format_of

from quintet_client.errors import QuintetError
from quintet_client.input.documents.renderer import Renderer
from quintet_client.input.originals import NoOriginalError, Originals
from quintet_client.input.page_ids import page_place
from quintet_client.input.regular_files import MAX_FILE_BYTES, why_not
from quintet_client.input.source import Source

if TYPE_CHECKING:
    from PIL import Image

# An A4 page has 1754 pixels from top to bottom: as many as a screen shows of it, and a bit to look closer.
SCREEN_DPI = 150
# What the service refuses to read is not worth a gigabyte of memory to look at either.
MAX_PIXELS = 100_000_000
_AS_IT_IS = {form: f"image/{form.lower()}" for form in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "AVIF")}
_EXIF_ORIENTATION = 0x0112
PILLOW_MISSING = "images need Pillow, which is not installed: pip install 'quintet[view]'"


class NoPictureError(QuintetError):
    """A page cannot be shown as an image; the message says why, for a person."""


class PagePictures:
    """Pages by id as encoded images; safe to share between threads."""

    def __init__(self, originals: Originals, passwords: Sequence[str] = ()) -> None:
        """Take pages from `originals`; PDFs that need a password are opened with one of `passwords`."""
        self._originals = originals
        self._renderer = Renderer(passwords=passwords)
        # A screen asks whether there is an image, and a moment later for the image.
        self._rendered = lru_cache(1)(self._render)

    @property
    def missing(self) -> str:
        """Why there are no pictures at all; empty if there may be."""
        return self._originals.missing or ("" if find_spec("PIL") else PILLOW_MISSING)

    def get(self, page_id: str, dpi: int = SCREEN_DPI) -> bytes:
        """Return a page's image as it is, or a rendered page of a document; raises NoPictureError if there is none."""
        name, number = page_place(page_id)
        try:
            found = self._originals.find(name)
            if name == page_id:
                return self._originals.read(found, MAX_FILE_BYTES)
        except NoOriginalError as error:
            raise NoPictureError(str(error)) from error
        except (OSError, ValueError) as error:
            raise NoPictureError(f"the image cannot be read ({why_not(error)})") from error
        return self._rendered(found._replace(page=number), dpi)

    def close(self) -> None:
        """End the renderer."""
        self._renderer.close()

    def _render(self, page: Source, dpi: int) -> bytes:
        answer = self._renderer.render_source(page, dpi)
        if answer.code:
            raise NoPictureError(answer.message)
        return answer.body


def thumbnail(body: bytes, angle_deg: int, side_px: int, quality: int = 75) -> bytes:
    """Make an upright JPEG, its longer side `side_px`, of a page turned clockwise; raises NoPictureError."""
    image = open_picture(body)
    with _decoding():
        image.draft("RGB", (2 * side_px, 2 * side_px))  # a JPEG is decoded at an eighth of its size where that will do
        image.thumbnail((side_px, side_px), reducing_gap=2.0)
        return _encoded(_as_read(image).rotate(angle_deg, expand=True), "JPEG", quality=quality)


def for_browser(body: bytes) -> tuple[str, bytes]:
    """Return type and bytes that all browsers show: the image as it is, else a PNG; raises NoPictureError."""
    image = open_picture(body)
    form = image.format or ""
    with _decoding():
        # All browsers apply a JPEG's EXIF orientation; of the other formats some do, so that is done here.
        if form in _AS_IT_IS and (form == "JPEG" or image.getexif().get(_EXIF_ORIENTATION, 1) == 1):
            return _AS_IT_IS[form], body
        return "image/png", _encoded(_as_read(image), "PNG", compress_level=1)


@contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Pillow's codecs raise many types on damaged input; each is this page's own failure.
        raise NoPictureError("the image is damaged or truncated") from error


def open_picture(body: bytes) -> "Image.Image":
    """Open an image, its pixels not decoded; raises NoPictureError if its header says that it cannot be shown."""
    try:
        import PIL  # noqa: F401, PLC0415 - the client alone is installed without it
        from quintet.pixels.images import opened  # noqa: PLC0415 - needs it
    except ModuleNotFoundError as error:
        raise NoPictureError(PILLOW_MISSING) from error
    try:
        image = opened(body)
    except PageError as error:
        is_known = format_of(body) in FORMATS
        raise NoPictureError(error.failure.message if is_known else "the file is no image, or a damaged one") from error
    if image.width * image.height > MAX_PIXELS:
        raise NoPictureError(f"the image has {image.width} x {image.height} pixels; at most {MAX_PIXELS} are shown")
    return image


def _as_read(image: "Image.Image") -> "Image.Image":
    from quintet.pixels.images import load_image  # noqa: PLC0415 - needs Pillow and NumPy

    return load_image(image)


def _encoded(image: "Image.Image", form: str, **options: int) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()
