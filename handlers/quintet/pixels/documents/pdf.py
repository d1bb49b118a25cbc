"""Pages of a PDF as a viewer shows them: crop box, /Rotate, annotations and form fields, on white.

PDFium serves one thread, and hostile files may bring it down.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import BinaryIO

import pypdfium2
import pypdfium2.raw
from PIL import Image

from quintet.errors import Code, PageError
from quintet.pixels.images import ImageLimits

_POINTS_PER_INCH = 72.0
_LONGEST_SIDE_PX = 65_500  # of a JPEG


class PdfPages:
    """One PDF, open."""

    has_dpi = True

    def __init__(self, file: BinaryIO, passwords: Sequence[str] = ()) -> None:
        """Open it, without a password, else with the first that fits.

        Raises:
            PageError: it is damaged, needs another password or has no pages.
        """
        try:
            self._pdf = _opened(file, [None, *passwords])
            self._pdf.init_forms()  # before any page, so that fields are drawn
        except pypdfium2.PdfiumError as error:
            raise _not_opened(error) from error

    def numbers(self, most: int) -> tuple[int, ...]:
        """Number its pages, no more than `most`."""
        return tuple(range(1, min(len(self._pdf), most) + 1))

    def close(self) -> None:
        """Let go of it, and of its file."""
        self._pdf.close()

    def dpi_within(self, number: int, dpi: float, limits: ImageLimits) -> float:
        """At most `dpi`, so that neither the area nor a side is more than the service and a JPEG take."""
        with _one_page(number):
            width, height = self._size(number)
            # Each side is rounded up: so many pixels more than the area says.
            by_area = math.sqrt(max(1, limits.max_page_pixels - 2 * _LONGEST_SIDE_PX) / (width * height))
            by_side = _LONGEST_SIDE_PX / max(width, height)
            return float(min(dpi, _POINTS_PER_INCH * by_area, _POINTS_PER_INCH * by_side))

    def size_px(self, number: int, dpi: float) -> tuple[int, int]:
        """As PDFium rounds it."""
        scale = dpi / _POINTS_PER_INCH
        with _one_page(number):
            width, height = self._size(number)
            return math.ceil(width * scale), math.ceil(height * scale)

    def image(self, number: int, dpi: float, limits: ImageLimits) -> Image.Image:
        """Render one page at so many pixels an inch, or at fewer where it would be too large.

        Raises:
            PageError: it cannot be rendered.
        """
        scale = self.dpi_within(number, dpi, limits) / _POINTS_PER_INCH
        with _one_page(number), closing(self._pdf[number - 1]) as page:
            with closing(page.render(scale=scale)) as bitmap:
                image: Image.Image = bitmap.to_pil()
            if _is_of_one_colour(image) and _lacks_an_image(page):
                raise ValueError("its image is damaged, and nothing else is on it")
            return image

    def _size(self, number: int) -> tuple[float, float]:
        """Width and height in points, without the content, which may take as long and as much as it likes."""
        width, height = self._pdf.get_page_size(number - 1)
        return width, height


@contextmanager
def _one_page(number: int) -> Iterator[None]:
    """What goes wrong with a page is a PageError."""
    try:
        yield
    except (pypdfium2.PdfiumError, ValueError, IndexError, ArithmeticError) as error:
        raise PageError(Code.PAGE_NOT_RENDERED, f"page {number} cannot be rendered: {error}") from error


def _opened(file: BinaryIO, passwords: Sequence[str | None]) -> pypdfium2.PdfDocument:
    """Try passwords in turn, as long as that is what is wrong; raises PdfiumError."""
    *others, last = passwords
    for password in others:
        try:
            return _opened_with(file, password)
        except pypdfium2.PdfiumError as error:
            if error.err_code != pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise
    return _opened_with(file, last)


def _opened_with(file: BinaryIO, password: str | None) -> pypdfium2.PdfDocument:
    # PDFium keeps the error of an earlier document when this one opens. A path that is none leaves one behind that
    # no open file can have: it still stands where a document was opened, and has no pages.
    pypdfium2.raw.FPDF_LoadDocument(b"", None)
    return pypdfium2.PdfDocument(file, password=password, autoclose=True)


def _not_opened(error: pypdfium2.PdfiumError) -> PageError:
    if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
        return PageError(Code.DOCUMENT_ENCRYPTED, "the PDF needs a password: save it without one")
    if error.err_code == pypdfium2.raw.FPDF_ERR_FILE:
        return PageError(Code.DOCUMENT_EMPTY, "the PDF has no pages")
    return PageError(Code.DOCUMENT_DAMAGED, "the file is no document, or a damaged one")


def _is_of_one_colour(image: Image.Image) -> bool:
    """Whether all pixels are the same."""
    return all(low == high for low, high in image.getextrema())  # type: ignore[misc] # pairs, of an RGB image


def _lacks_an_image(page: pypdfium2.PdfPage) -> bool:
    """Whether an image could not be decoded: PDFium leaves it out and says nothing, and the page would be blank."""
    for found in page.get_objects(filter=(pypdfium2.raw.FPDF_PAGEOBJ_IMAGE,)):
        try:
            found.get_bitmap().close()
        except pypdfium2.PdfiumError:
            return True
    return False
