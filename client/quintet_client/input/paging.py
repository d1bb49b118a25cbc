"""From files to pages: a PDF is its pages, a TIFF too if it has several, and every other file is one page."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from quintet.errors import Code

from quintet_client.input.documents.codes import DocumentCode
from quintet_client.input.documents.messages import MOST_PAGES, Answer
from quintet_client.input.documents.renderer import Renderer
from quintet_client.input.page_ids import page_id_in
from quintet_client.input.source import Source
from quintet_client.input.stores.apart import apart
from quintet_client.input.stores.copies import Copies

# Documents of stores are counted so many at a time: each has a copy of up to 1 GiB, and a process of 60 MB.
_RENDERERS = 4
# Reading such a TIFF says what is wrong with it, as of an image.
_FAILS_AS_AN_IMAGE = {DocumentCode.UNREADABLE_FILE, Code.DOCUMENT_DAMAGED}


def has_pages(file: Source) -> bool:
    """Whether a file is of a kind that may hold several pages."""
    return file.is_pdf or file.is_tiff


def count_apart(files: Sequence[Source], passwords: Sequence[str] = ()) -> list[Answer]:
    """Number the pages of documents in stores, several at a time, in a process that ends with that (see `stores`)."""
    return apart(_count, files, passwords)


def _count(files: Sequence[Source], passwords: Sequence[str]) -> list[Answer]:
    renderers = [Renderer(copies=Copies(), passwords=passwords) for _ in range(min(_RENDERERS, len(files)))]
    free, away = deque(renderers), list[Answer]()

    def counted(file: Source) -> Answer:
        if away:  # the others would wait as long, each
            return away[0]
        renderer = free.pop()
        answer = renderer.render_source(file)
        free.append(renderer)
        if answer.code == DocumentCode.STORE_UNREACHABLE:
            away.append(answer)
        return answer

    try:
        with ThreadPoolExecutor(len(renderers)) as threads:
            return list(threads.map(counted, files))
    finally:
        for renderer in renderers:
            renderer.close()


def pages_of(file: Source, answer: Answer) -> list[Source]:
    """Return the pages of a file that `has_pages`, as they were numbered; one with a fault if it cannot be opened."""
    if file.is_tiff and (answer.code in _FAILS_AS_AN_IMAGE or (not answer.code and set(answer.pages) <= {1})):
        return [file]
    code, message = answer.code, answer.message
    if len(answer.pages) > MOST_PAGES:
        code, message = Code.DOCUMENT_TOO_LONG, f"the document has more than {MOST_PAGES} pages; split it"
    if code:
        return [file._replace(stamp=answer.stamp, code=code, message=message)]
    return [file._replace(page_id=page_id_in(file.page_id, number), page=number) for number in answer.pages]
