"""From files to pages: a PDF is its pages, a TIFF too if it has several, and every other file is one page.

TIFFs are counted here, by a few bytes each; PDFs in the process that renders them.
"""

from collections.abc import Sequence

from quintet_client.input.documents.codes import DocumentCode
from quintet_client.input.documents.renderer import Renderer
from quintet_client.input.documents.tiff_directories import pages_of_tiff
from quintet_client.input.page_ids import page_id_in
from quintet_client.input.sources import Source
from quintet_client.service.page import FileStamp

# A PDF may claim a million pages that it has not, and each would be a failure of its own.
MOST_PAGES = 100_000


def has_pages(file: Source) -> bool:
    """Whether a file is of a kind that may hold several pages."""
    return file.is_pdf or file.is_tiff


def pages_of(file: Source, renderer: Renderer) -> list[Source]:
    """The pages of a file of a kind that may hold several; one with a fault if it cannot be opened.

    Args:
        file: the file, `has_pages`.
        renderer: opens PDFs.
    """
    return _pages_of_pdf(file, renderer) if file.is_pdf else _pages_of_tiff(file)


def _pages_of_pdf(file: Source, renderer: Renderer) -> list[Source]:
    answer = renderer.count(file.path)
    if answer.code:
        return [_with_fault(file, answer.stamp, answer.code, answer.message)]
    return _numbered(file, range(1, answer.pages + 1), answer.stamp)


def _pages_of_tiff(file: Source) -> list[Source]:
    try:
        pages = pages_of_tiff(file.path, MOST_PAGES)
    except (OSError, ValueError):  # reading it says why, as of an image
        return [file]
    return _numbered(file, pages, file.stamp) if set(pages) - {1} else [file]


def _numbered(file: Source, numbers: Sequence[int], stamp: FileStamp) -> list[Source]:
    if len(numbers) > MOST_PAGES:
        message = f"the document has more than {MOST_PAGES} pages; split it"
        return [_with_fault(file, stamp, DocumentCode.DOCUMENT_TOO_LONG, message)]
    return [Source(page_id_in(file.page_id, number), file.path, file.stamp, number) for number in numbers]


def _with_fault(file: Source, stamp: FileStamp, code: str, message: str) -> Source:
    return Source(file.page_id, file.path, stamp, 0, code, message)
