"""The process that opens documents: `renderer.py` starts it, asks it over pipes, and replaces it when it dies.

Hostile documents can crash native code, stall it or make it take all memory; here that costs one page. It has one
document open at a time, as PDFium serves one thread alone.
"""

import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import quintet.errors
from quintet.errors import Code
from quintet.pixels.formats import is_tiff

from quintet_client.errors import PageError
from quintet_client.input.documents.codes import DocumentCode
from quintet_client.input.documents.messages import MOST_PAGES, Answer, answer_packed, unpacked
from quintet_client.input.documents.passwords import password_missing
from quintet_client.input.regular_files import open_regular, why_not
from quintet_client.input.source import TIFF_EXTENSIONS
from quintet_client.service.page import UNKNOWN, USUAL_LIMITS, FileStamp, Limits

if TYPE_CHECKING:  # Pillow may not be installed
    from quintet.pixels.documents.pages import Pages

# The parent ends what takes too long. This ends it when there is no parent any more to do so, whatever native code is
# doing, and so a while later.
_ORPHAN_S = 5.0
_STATM = Path("/proc/self/statm")


class Shelf:
    """The document opened last, kept open: its neighbouring pages come next."""

    def __init__(self) -> None:
        self._held: tuple[str, FileStamp, Pages] | None = None

    def answer(
        self, path: str, page: int, dpi: int, limits: Sequence[int] = USUAL_LIMITS, passwords: Sequence[str] = ()
    ) -> Answer:
        """Number a document's pages (for page 0), or render one of them within the service's limits."""
        stamp = UNKNOWN
        try:
            file, stamp = open_regular(path)
            pages = self._open(path, file, stamp, passwords)
            if not page:
                return Answer(stamp, pages=pages.numbers(MOST_PAGES + 1))
            from quintet_client.input.documents.encoding import encoded_page  # noqa: PLC0415 - needs Pillow

            body, note = encoded_page(pages, page, dpi, Limits(*limits))
            return Answer(stamp, note=note, body=body)
        except PageError as error:
            return Answer(stamp, code=error.code, message=error.message)
        except quintet.errors.PageError as error:
            return Answer(stamp, code=error.failure.code, message=error.failure.message)
        except (OSError, ValueError) as error:
            return Answer(stamp, code=DocumentCode.UNREADABLE_FILE, message=why_not(error))

    def _open(self, path: str, file: BinaryIO, stamp: FileStamp, passwords: Sequence[str]) -> "Pages":
        """Take a document that has just been opened, unless it is the one at hand."""
        if self._held and self._held[:2] == (path, stamp):
            file.close()
            return self._held[2]
        self.let_go()
        try:
            pages = _opened(file, path, passwords)
        except BaseException:
            file.close()
            raise
        self._held = (path, stamp, pages)
        return pages

    def let_go(self) -> None:
        """Close the document at hand; its next page opens it again."""
        if self._held:
            self._held[2].close()
            self._held = None


def _opened(file: BinaryIO, path: str, passwords: Sequence[str]) -> "Pages":
    """Open a document as what it is: a link called .pdf may lead to a TIFF. What is only called so is no document."""
    try:
        from quintet.pixels.documents.pages import open_pages  # noqa: PLC0415 - Pillow may not be installed

        begins_as_tiff = is_tiff(file.read(4))
        file.seek(0)
        if not begins_as_tiff and path.lower().endswith(TIFF_EXTENSIONS):
            raise PageError(Code.DOCUMENT_DAMAGED, "the file is no TIFF")
        return open_pages(file, passwords)
    except quintet.errors.PageError as error:
        if error.failure.code is not Code.DOCUMENT_ENCRYPTED:
            raise
        message = f"the PDF needs a password: {password_missing(passwords)}"
        raise PageError(Code.DOCUMENT_ENCRYPTED, message) from None
    except ModuleNotFoundError as error:
        message = f"documents need {error.name}, which is not installed: pip install 'quintet[bulk]', then run again"
        raise PageError(DocumentCode.RENDERER_MISSING, message) from error


def _guarded(shelf: Shelf, request: dict[str, object]) -> Answer:
    try:
        return shelf.answer(**request)  # type: ignore[arg-type] # as `renderer.py` packs it
    except MemoryError:
        return Answer(code=Code.PAGE_NOT_RENDERED, message="it takes more memory than a page may")
    except Exception as error:  # noqa: BLE001 - the process's outermost boundary: one page's failure
        return Answer(code=Code.PAGE_NOT_RENDERED, message=f"rendering failed: {error}")


def _limited(memory_bytes: int) -> None:
    """Bound what native code may take or leave behind: memory, no core dumps, no files; Ctrl-C is the parent's."""
    for what, most in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        _, allowed = resource.getrlimit(what)
        least = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(what, (least, least))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _address_space_bytes() -> int:
    """What the limit on memory counts; 0 where the system does not say."""
    try:
        return int(_STATM.read_bytes().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _answers_alone() -> BinaryIO:
    """The pipe to the parent, out of the way of whatever else writes to standard output."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return answers


def _exactly(count: int) -> bytes:
    read = sys.stdin.buffer.read(count)
    if len(read) < count:
        raise EOFError  # the parent has gone, or wants no more
    return read


def main(memory_bytes: int, page_s: float) -> None:
    """Answer until the parent, which waits so long for each answer, closes the pipe or dies."""
    _limited(memory_bytes)
    answers, shelf = _answers_alone(), Shelf()
    while True:
        try:
            request, _ = unpacked(_exactly)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, page_s + _ORPHAN_S)
        message = answer_packed(_guarded(shelf, request))
        signal.setitimer(signal.ITIMER_REAL, 0)
        while message:  # a raw pipe may take a part
            message = message[answers.write(message) or 0 :]
        if _address_space_bytes() > memory_bytes // 2:
            shelf.let_go()  # PDFium keeps all that it has read of a document: of a book of 5,000 scans a gigabyte


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
