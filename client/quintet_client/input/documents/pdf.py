"""Pages of a PDF as a viewer shows them: crop box, /Rotate, annotations and form fields, on white.

In the child alone: PDFium serves one thread, and hostile files may bring it down.
"""

import math
from contextlib import closing
from typing import BinaryIO

import pypdfium2
import pypdfium2.raw
from quintet.pages.settings import Settings

from quintet_client.errors import PageError
from quintet_client.input.documents.codes import DocumentCode
from quintet_client.input.documents.encoding import encoded, is_of_one_colour
from quintet_client.input.documents.messages import MOST_BODY_BYTES

_POINTS_PER_INCH = 72.0
_LONGEST_SIDE_PX = 65_500  # of a JPEG
# Each side is rounded up: so many pixels more than the area says.
_MOST_PIXELS = Settings().max_page_pixels - 2 * _LONGEST_SIDE_PX
# What random pixels of any size come down to within a few steps.
_SMALLER = 0.9


class PdfPages:
    """One PDF, open."""

    def __init__(self, file: BinaryIO) -> None:
        """Open it.

        Raises:
            PageError: it is damaged, needs a password or has no pages.
        """
        # PDFium keeps the error of an earlier document when this one opens. A path that is none leaves one behind that
        # no open file can have: it still stands where a document was opened, and has no pages.
        pypdfium2.raw.FPDF_LoadDocument(b"", None)
        try:
            self._pdf = pypdfium2.PdfDocument(file, autoclose=True)
            self._pdf.init_forms()  # before any page, so that fields are drawn
        except pypdfium2.PdfiumError as error:
            raise _not_opened(error) from error

    def numbers(self, most: int) -> tuple[int, ...]:
        """Number its pages, no more than `most`."""
        return tuple(range(1, min(len(self._pdf), most) + 1))

    def close(self) -> None:
        """Let go of it, and of its file."""
        self._pdf.close()

    def render(self, number: int, dpi: int) -> tuple[bytes, str]:
        """Render one page at so many pixels an inch, or at fewer where the service would take no more.

        Returns:
            The encoded image, and what is to be said about it, if anything.

        Raises:
            PageError: it cannot be rendered.
        """
        try:
            with closing(self._pdf[number - 1]) as page:
                return _rendered(page, dpi)
        except (pypdfium2.PdfiumError, ValueError, IndexError, ArithmeticError) as error:
            raise PageError(DocumentCode.PAGE_NOT_RENDERED, f"page {number} cannot be rendered: {error}") from error


def _not_opened(error: pypdfium2.PdfiumError) -> PageError:
    if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
        return PageError(DocumentCode.DOCUMENT_ENCRYPTED, "the PDF needs a password: save it without one")
    if error.err_code == pypdfium2.raw.FPDF_ERR_FILE:
        return PageError(DocumentCode.DOCUMENT_EMPTY, "the PDF has no pages")
    return PageError(DocumentCode.DOCUMENT_DAMAGED, "the file is no document, or a damaged one")


def _rendered(page: pypdfium2.PdfPage, dpi: int) -> tuple[bytes, str]:
    scale = _scale(page, dpi)
    body = _encoded(page, scale)
    while len(body) > MOST_BODY_BYTES:
        scale *= _SMALLER * math.sqrt(MOST_BODY_BYTES / len(body))
        body = _encoded(page, scale)
    note = f"rendered at {scale * _POINTS_PER_INCH:.1f} dpi: at {dpi} it would be larger than the service takes"
    return body, note if scale < dpi / _POINTS_PER_INCH else ""


def _scale(page: pypdfium2.PdfPage, dpi: int) -> float:
    """Pixels a point, so that neither the area nor a side is more than the service and a JPEG take."""
    width, height = page.get_size()
    by_area = math.sqrt(_MOST_PIXELS / (width * height))
    by_side = _LONGEST_SIDE_PX / max(width, height)
    return float(min(dpi / _POINTS_PER_INCH, by_area, by_side))


def _encoded(page: pypdfium2.PdfPage, scale: float) -> bytes:
    with closing(page.render(scale=scale)) as bitmap:
        image = bitmap.to_pil()
    if is_of_one_colour(image) and _lacks_an_image(page):
        raise ValueError("its image is damaged, and nothing else is on it")
    return encoded(image)


def _lacks_an_image(page: pypdfium2.PdfPage) -> bool:
    """Whether an image could not be decoded: PDFium leaves it out and says nothing, and the page would be blank."""
    for found in page.get_objects(filter=(pypdfium2.raw.FPDF_PAGEOBJ_IMAGE,)):
        try:
            found.get_bitmap().close()
        except pypdfium2.PdfiumError:
            return True
    return False
