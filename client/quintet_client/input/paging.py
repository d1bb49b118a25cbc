"""From files to pages: a PDF is its pages, a TIFF too if it has several, and every other file is one page."""

from quintet_client.input.documents.codes import DocumentCode
from quintet_client.input.documents.messages import MOST_PAGES
from quintet_client.input.documents.renderer import Renderer
from quintet_client.input.page_ids import page_id_in
from quintet_client.input.sources import Source

# Reading such a TIFF says what is wrong with it, as of an image.
_FAILS_AS_AN_IMAGE = {DocumentCode.UNREADABLE_FILE, DocumentCode.DOCUMENT_DAMAGED}


def has_pages(file: Source) -> bool:
    """Whether a file is of a kind that may hold several pages."""
    return file.is_pdf or file.is_tiff


def pages_of(file: Source, renderer: Renderer) -> list[Source]:
    """Return the pages of a file that `has_pages`; one with a fault if it cannot be opened."""
    answer = renderer.count(file.path)
    if file.is_tiff and (answer.code in _FAILS_AS_AN_IMAGE or (not answer.code and set(answer.pages) <= {1})):
        return [file]
    code, message = answer.code, answer.message
    if len(answer.pages) > MOST_PAGES:
        code, message = DocumentCode.DOCUMENT_TOO_LONG, f"the document has more than {MOST_PAGES} pages; split it"
    if code:
        return [file._replace(stamp=answer.stamp, code=code, message=message)]
    return [file._replace(page_id=page_id_in(file.page_id, number), page=number) for number in answer.pages]
