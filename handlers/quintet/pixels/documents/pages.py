"""What a document is, and the one way to open it. Needs Pillow; PDFs need pypdfium2."""

from collections.abc import Sequence
from typing import BinaryIO, Protocol

from PIL import Image

from quintet.pixels.formats import is_image, is_tiff
from quintet.pixels.images import ImageLimits

_PDF_MARK = b"%PDF-"
# PDFium looks as far for the mark.
_PDF_HEAD_BYTES = 1024


class Pages(Protocol):
    """An open document, whose pages have numbers from 1."""

    has_dpi: bool  # whether it is rendered at any resolution; otherwise `dpi` is nothing to it

    def numbers(self, most: int) -> tuple[int, ...]:
        """Which pages it has, no more than `most`."""

    def dpi_within(self, number: int, dpi: float, limits: ImageLimits) -> float:
        """Pixels an inch at which a page is within the largest size: `dpi`, or less.

        Raises:
            PageError: the page cannot be had.
        """

    def size_px(self, number: int, dpi: float) -> tuple[int, int]:
        """Width and height of a page at so many pixels an inch, of a TIFF's as encoded; raises as `dpi_within`."""

    def image(self, number: int, dpi: float, limits: ImageLimits) -> Image.Image:
        """A page as a viewer shows it: RGB.

        Raises:
            PageError: it cannot be had, or is larger or smaller than an image may be.
        """

    def close(self) -> None:
        """Let go of it, and of its file."""


def is_document(body: bytes) -> bool:
    """Whether bytes may be several pages, by how they begin: a TIFF may be one image too."""
    return is_tiff(body) or (_PDF_MARK in body[:_PDF_HEAD_BYTES] and not is_image(body))


def open_pages(file: BinaryIO, passwords: Sequence[str] = ()) -> Pages:
    """Open a document as what it is, whatever it is called; what is no TIFF is taken for a PDF.

    A PDF that needs a password is opened with the first of `passwords` that fits.

    Raises:
        PageError: it is damaged, needs another password or has no pages.
        ModuleNotFoundError: there is nothing to open a PDF with.
    """
    begins_as_tiff = is_tiff(file.read(4))
    file.seek(0)
    if begins_as_tiff:
        from quintet.pixels.documents.tiff import TiffPages  # noqa: PLC0415 - takes a while

        return TiffPages(file)
    from quintet.pixels.documents.pdf import PdfPages  # noqa: PLC0415 - may not be installed

    return PdfPages(file, passwords)
