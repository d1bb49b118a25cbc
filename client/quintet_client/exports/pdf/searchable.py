"""`pdf`: the pages as they were scanned, with an invisible text layer to search, select and copy.

Pages show upright: `/Rotate` follows their orientation, the picture stays as it is (as OCRmyPDF's --rotate-pages does).
What is made of images is PDF/A.
"""

import io
from collections.abc import Sequence
from contextlib import suppress

import pikepdf
from pikepdf import Dictionary, Matrix, Name
from quintet.errors import PageError

from quintet_client.api.results import PageResult
from quintet_client.exports.documents import Document, DocumentPage, ExportError, original_body
from quintet_client.exports.pdf.archival import declare
from quintet_client.exports.pdf.glyphless import GlyphlessFont
from quintet_client.exports.pdf.images import PageImage, page_image
from quintet_client.exports.pdf.notice import notice
from quintet_client.exports.pdf.pages import displayed_frame, holds_text, settled
from quintet_client.exports.pdf.text import FONT_NAME, numbers, text_layer
from quintet_client.input.documents.passwords import password_missing
from quintet_client.input.own_pdfs import marked

_PDF_MAGIC = b"%PDF-"


def render(document: Document) -> bytes:
    """One PDF a document; raises ExportError if the original is missing, or is not what was read."""
    builder = _Builder(original_body(document), document.passwords)
    for page in document.pages:
        builder.add(page)
    return marked(builder.finished(document.name))


def _opened(body: bytes, passwords: Sequence[str]) -> pikepdf.Pdf:
    """Open a PDF, without a password, else with the first that fits; old ones have theirs in UTF-8 or Latin-1."""
    coded = [password.encode(code, "replace") for password in passwords for code in ("utf-8", "latin-1")]
    for password in (b"", *coded):
        with suppress(pikepdf.PasswordError):
            return pikepdf.Pdf.open(io.BytesIO(body), password=password)
    raise ExportError(f"its file needs a password: {password_missing(passwords)}")


class _Builder:
    """A PDF in the making, with one font for all its pages.

    An original PDF is kept whole, its outline and links too, and gets text where it has none.
    """

    def __init__(self, body: bytes, passwords: Sequence[str]) -> None:
        self._body = body
        # Viewers, and pypdfium2 with them, accept some bytes before the header.
        self._is_original = _PDF_MAGIC in body[:1024]
        self._pdf = _opened(body, passwords) if self._is_original else pikepdf.Pdf.new()
        self._font = GlyphlessFont()
        self._with_text: list[pikepdf.Page] = []
        self._is_archival = not self._is_original

    def add(self, page: DocumentPage) -> None:
        place = self._original_page if self._is_original else self._picture
        try:
            place(page)
        except (OSError, EOFError, IndexError, PageError):
            if page.page is not None:
                raise ExportError(f"its file has no page {page.number} that can be decoded; read it again") from None
            self._notice(page)

    def finished(self, title: str) -> bytes:
        """Close the PDF; the same pages give the same bytes."""
        if self._with_text:
            font = self._font.add_to(self._pdf)
        for page in self._with_text:
            page.add_resource(font, Name.Font, Name(FONT_NAME))
        if not self._is_original:
            self._pdf.docinfo[Name.Title] = title
        if self._is_archival:
            declare(self._pdf, title)
        target = io.BytesIO()
        self._pdf.save(target, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)
        return target.getvalue()

    def _picture(self, page: DocumentPage) -> None:
        image = page_image(self._body, page.number)
        read = page.page
        if read is not None and image.size_px != (read.width_px, read.height_px):
            raise ExportError(
                f"the image has {image.size_px[0]} x {image.size_px[1]} pixels, its result says "
                f"{read.width_px} x {read.height_px}: it is another one now; read it again"
            )
        target = self._painted(image)
        if read is not None:
            self._overlay(target, read, image.to_points)

    def _painted(self, image: PageImage) -> pikepdf.Page:
        """Append a page that shows an image."""
        target = self._pdf.add_blank_page(page_size=image.size_pt)
        target.Resources = Dictionary(XObject=Dictionary({"/Image": image.add_to(self._pdf)}))
        target.Contents = self._pdf.make_stream(f"q {numbers(image.paint.shorthand)} cm /Image Do Q".encode())
        self._is_archival &= not image.samples.is_ink  # its colours are not those of sRGB, which PDF/A would have said
        return target

    def _original_page(self, page: DocumentPage) -> None:
        """Add the text to a page of the original; one that has its text already stays as it is."""
        target = self._pdf.pages[page.number - 1]
        if page.page is not None and not holds_text(target, sum(len(line.text) for line in page.page.lines)):
            settled(target)
            self._overlay(target, page.page, displayed_frame(target, page.page.width_px, page.page.height_px))

    def _overlay(self, target: pikepdf.Page, read: PageResult, to_points: Matrix) -> None:
        target.contents_add(text_layer(read, to_points, self._font))
        target.Rotate = (int(target.get("/Rotate", 0)) - read.orientation.angle_deg) % 360
        self._with_text.append(target)

    def _notice(self, page: DocumentPage) -> None:
        """Append a page that says why there is none: a failure is never a blank page."""
        image, said = notice(f"Page {page.number} was not read: {page.code}")
        self._overlay(self._painted(image), said, image.to_points)
