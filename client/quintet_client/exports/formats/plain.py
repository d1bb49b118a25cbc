"""`txt`: the lines in reading order, as UTF-8."""

from quintet_client.exports.documents import Document, DocumentPage


def render(document: Document) -> bytes:
    """One line of text a line; each page of a document with pages ends with a form feed, as pdftotext has it."""
    end = "\f" if document.has_pages_of_its_own else ""
    return "".join(_text_of(page) + end for page in document.pages).encode()


def _text_of(page: DocumentPage) -> str:
    if page.page is None:
        return f"[page {page.number} was not read: {page.code}]\n"
    return "".join(f"{line.text}\n" for line in page.page.lines)
