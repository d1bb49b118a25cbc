"""The process that decodes images: `codec_processes.py` starts it, asks it, and replaces it when it dies.

Hostile images can crash native code, stall it or make it take all memory; here that costs one page. Imports neither
NumPy nor PyTorch, so that a process has 20 MB and starts in a fifth of a second; PDFium with the first PDF.
"""

import contextlib
import io
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from quintet.errors import Code, Failure, PageError
from quintet.pixels.codec_messages import NO_PAGES, PageHead, PageRange, Reply, Request, receive_request, send_reply
from quintet.pixels.documents.pages import Pages, open_pages
from quintet.pixels.images import ImageLimits, load_words, open_image, takes_too_much

# A PDF may claim a million pages that it has not.
_MOST_PAGES = 100_000
_MOST_MESSAGE_CHARS = 200
_STATM = Path("/proc/self/statm")
_NO_MEMORY_FOR_IMAGE = takes_too_much().failure
_NO_MEMORY_FOR_PAGE = Failure(Code.PAGE_NOT_RENDERED, "the page takes more memory than a page may have")


class Limits(NamedTuple):
    """What an image may be, as `ImageLimits` has it."""

    max_body_bytes: int
    max_page_pixels: int
    min_page_side_px: int


def main(limits: Limits) -> None:
    """Answer until the worker closes the socket or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    peer = socket.socket(fileno=0)
    while True:
        try:
            request, body, descriptors = receive_request(peer)
        except EOFError:
            return
        with _bounded(request):
            reply = _answer(bytes(body), request, descriptors, limits)
        for descriptor in descriptors:
            os.close(descriptor)
        del body
        send_reply(peer, reply)


def _answer(body: bytes, request: Request, descriptors: list[int], limits: Limits) -> Reply:
    """What was asked for, or why there is nothing."""
    failure = _NO_MEMORY_FOR_IMAGE if request.pages == NO_PAGES else _NO_MEMORY_FOR_PAGE
    try:
        return _asked(body, request, descriptors, limits)
    except MemoryError:
        pass  # nor is there any for words, until what holds it has been left
    except PageError as error:
        failure = error.failure
    return Reply(code=failure.code, message=failure.message)


def _asked(body: bytes, request: Request, descriptors: list[int], limits: Limits) -> Reply:
    """What the header says, or the size of what was decoded."""
    if not descriptors:
        return _looked_at(body, request.pages, limits)
    with mmap.mmap(descriptors[0], request.length, offset=request.begin) as shared, memoryview(shared) as memory:
        return Reply(*_load(body, request.pages, limits, memory))


def _looked_at(body: bytes, asked: PageRange, limits: ImageLimits) -> Reply:
    """What the header of an image says, or a document of its pages."""
    if asked == NO_PAGES:
        opened = open_image(body, limits)
        return Reply(*opened.size_px, opened.is_plain_jpeg, opened.decode_bytes, opened.decode_times)
    with _document(body) as pages:
        return _heads(pages, asked, limits)


def _heads(pages: Pages, asked: PageRange, limits: ImageLimits) -> Reply:
    """How many pages a document has, and the sizes of those that are asked for."""
    numbers = pages.numbers(_MOST_PAGES)
    chosen = [number for number in numbers if asked.first <= number <= asked.last]
    if len(chosen) > asked.most:
        these = "" if len(chosen) == len(numbers) else f", of which {len(chosen)} are asked for"
        message = f"the document has {len(numbers)} pages{these}; at most {asked.most} are read in a request"
        raise PageError(Code.DOCUMENT_TOO_LONG, message)
    return Reply(page_count=len(numbers), pages={number: _head(pages, number, asked.dpi, limits) for number in chosen})


def _head(pages: Pages, number: int, dpi: int, limits: ImageLimits) -> PageHead:
    try:
        return PageHead(*pages.size_px(number, pages.dpi_within(number, dpi, limits)))
    except PageError as error:
        return PageHead(code=error.failure.code, message=error.failure.message[:_MOST_MESSAGE_CHARS])


def _load(body: bytes, asked: PageRange, limits: ImageLimits, memory: memoryview) -> tuple[int, int]:
    """The words of an image, or of the one page that is asked for; returns width and height."""
    if asked == NO_PAGES:
        return load_words(open_image(body, limits).image, memory)
    with _document(body) as pages:
        return load_words(pages.image(asked.first, asked.dpi, limits), memory)


@contextlib.contextmanager
def _document(body: bytes) -> Iterator[Pages]:
    """A document, open."""
    try:
        with contextlib.closing(open_pages(io.BytesIO(body))) as pages:
            yield pages
    except ModuleNotFoundError as error:
        raise PageError(Code.UNSUPPORTED_FORMAT, f"this service lacks {error.name}, which PDFs need") from error


@contextlib.contextmanager
def _bounded(request: Request) -> Iterator[None]:
    """Bound what one request takes: time, at whose end the system kills this process, and memory, which is refused."""
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    held = int(_STATM.read_bytes().split()[0]) * resource.getpagesize()
    wanted = held + request.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))
    signal.setitimer(signal.ITIMER_PROF, request.cpu_ms / 1000)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(Limits(*map(int, sys.argv[1:])))
