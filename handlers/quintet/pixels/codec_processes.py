"""Image codecs in processes of their own, each bounded in time and memory a page, and all of them in memory together.

A thread in native code cannot be stopped, and what it allocates is the worker's; a process ends with its page.
"""

import contextlib
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quintet.errors import Code, Failure, PageError
from quintet.pixels import codec_messages
from quintet.pixels.codec_messages import NO_PAGES, PageHead, PageRange, Reply, Request
from quintet.pixels.images import SLOW_TIMES, WORD_BYTES, ImageLimits, check_size
from quintet.pixels.page_memory import PageMemory

# What reading a header may take: Pillow keeps what stands before the pixels, WebP's decoder reserves two canvases.
_HEADER_BYTES = 64 << 20
_LARGEST_WEBP_BYTES = 8 * (1 << 14) ** 2
# What opening a document takes beside its bytes: a page's largest scan is in memory whole, at its own resolution. And a
# pixel of a page: PDFium's picture, one more for each group that is transparent, Pillow's, and that in RGB.
_DOCUMENT_BYTES = 256 << 20
_DOCUMENT_PIXEL_BYTES = 20
# The largest page has all of `decode_s`, smaller ones as much as they are smaller, none and no header less than this.
_LEAST_SHARE = 0.1
# How much longer than its time of a CPU a page may take, on a machine that does other work.
_WALL_TIMES, _WALL_SPARE_S = 10, 60
# A process that dies may have been the system's choice when memory was short: the page has another try.
_TRIES = 2
_TIMED_OUT = "timed out"
# What a process frees it keeps for the next page, up to what a usual page takes: faulting it in anew takes a third of
# the time of decoding.
_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "MALLOC_TOP_PAD_": str(16 << 20),
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncodedPage:
    """One encoded page, or page of a document, whose size has been read and is within the limits."""

    body: bytes
    size_px: tuple[int, int]  # as encoded; an EXIF turn may swap them
    is_plain_jpeg: bool  # whether a device may decode it
    decode_bytes: int  # the most memory that decoding may take beside its words
    decode_times: int = 1  # how many times as long as another image of its size it may take
    page: PageRange = NO_PAGES  # which one of the document that the body is; none of an image


class CodecProcesses:
    """As many processes as are asked at once, each started when it is needed. Safe to share between threads."""

    def __init__(self, limits: ImageLimits, max_bytes: int, decode_s: float) -> None:
        """Prepare.

        Args:
            limits: what an image may be.
            max_bytes: most memory that all decoding under way may take together.
            decode_s: seconds of a CPU that the largest page may take.
        """
        self._limits = limits
        self._decode_s = decode_s
        self._budget = _Budget(max_bytes)
        self._idle: queue.LifoQueue[_Codec] = queue.LifoQueue()
        weakref.finalize(self, _end_all, self._idle)

    def open(self, body: bytes) -> EncodedPage | Failure:
        """The header of a body, or why not; nothing is decoded yet.

        Raises:
            PageError: a size beyond the limits, which only a process says that an image has taken over.
        """
        if not body:
            return Failure(Code.EMPTY_BODY, "the body has no bytes: send one encoded image")
        needed = _HEADER_BYTES + 8 * len(body)
        reserved = _LARGEST_WEBP_BYTES if body[8:12] == b"WEBP" else 0  # and not written yet
        with self._budget.held(needed):
            reply = self._ask(Request(self._cpu_ms(0), needed + reserved), body)
        if isinstance(reply, Failure):
            return reply
        size_px = (reply.width, reply.height)
        # A process that an image has taken over may say anything.
        times = max(1, min(reply.decode_times, SLOW_TIMES))
        page = EncodedPage(body, size_px, reply.is_plain_jpeg, reply.decode_bytes, times)
        check_size(page.size_px, self._limits)
        if page.decode_bytes > self._budget.most:
            message = f"decoding the image takes {page.decode_bytes} bytes; allowed are {self._budget.most}"
            return Failure(Code.IMAGE_TOO_LARGE, message)
        return page

    def open_document(self, body: bytes, asked: PageRange) -> "tuple[int, dict[int, EncodedPage | Failure]] | Failure":
        """How many pages a document has, and those that are asked for by number, or why not; none is rendered yet."""
        needed = _document_bytes(body)
        with self._budget.held(needed):
            reply = self._ask(Request(self._cpu_ms(0), needed, pages=asked), body)
        if isinstance(reply, Failure):
            return reply
        heads = list(reply.pages.items())[: asked.most]
        return reply.page_count, {number: self._page(body, asked, number, head) for number, head in heads}

    def _page(self, body: bytes, asked: PageRange, number: int, head: PageHead) -> EncodedPage | Failure:
        if isinstance(head.code, Code):
            return Failure(head.code, head.message)
        try:
            check_size((head.width, head.height), self._limits)
        except PageError as error:
            return error.failure
        pixels = head.width * head.height
        needed = min(_document_bytes(body) + _DOCUMENT_PIXEL_BYTES * pixels, self._budget.most)
        only = PageRange(number, number, 1, asked.dpi)
        return EncodedPage(body, (head.width, head.height), is_plain_jpeg=False, decode_bytes=needed, page=only)

    def load(self, page: EncodedPage, memory: PageMemory, begin: int) -> tuple[int, int] | Failure:
        """Decode a page to where its words begin; returns its width and height as a viewer shows it."""
        width, height = page.size_px
        pixels = width * height
        length = pixels * WORD_BYTES
        cpu_ms = page.decode_times * self._cpu_ms(pixels)
        request = Request(cpu_ms, page.decode_bytes + length, begin * WORD_BYTES, length, page.page)
        with self._budget.held(page.decode_bytes):
            reply = self._ask(request, page.body, memory.descriptor)
        if isinstance(reply, Failure):
            return reply
        if reply.width * reply.height != pixels:
            return Failure(Code.IMAGE_DECODE_FAILED, "the image has another size than its header says")
        return reply.width, reply.height

    def _cpu_ms(self, pixels: int) -> int:
        return round(1000 * self._decode_s * max(_LEAST_SHARE, pixels / self._limits.max_page_pixels))

    def _ask(self, request: Request, body: bytes, descriptor: int | None = None) -> Reply | Failure:
        """Ask an idle process, or a new one; one that dies is not asked again."""
        how, (what, code) = "", _asked_about(request)
        for _ in range(_TRIES):
            codec = self._take()
            try:
                reply = codec.ask(request, body, descriptor)
            except (EOFError, OSError, ValueError) as error:
                if (how := codec.end(error)) == _TIMED_OUT:
                    message = f"decoding the {what} takes more than {request.cpu_ms / 1000:g} s: encode it anew"
                    return Failure(Code.IMAGE_TOO_COMPLEX, message)
                logger.warning("a codec %s at the %s of %d bytes", how, what, len(body))
                continue
            self._idle.put(codec)
            return Failure(reply.code, reply.message) if isinstance(reply.code, Code) else reply
        return Failure(code, f"the codec {how} at this {what}")

    def _take(self) -> "_Codec":
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return _Codec(self._limits)


def _document_bytes(body: bytes) -> int:
    """What opening a document may take."""
    return _DOCUMENT_BYTES + 8 * len(body)


def _asked_about(request: Request) -> tuple[str, Code]:
    """What it is, and the code of one that ends its codecs."""
    if request.pages == NO_PAGES:
        return "image", Code.IMAGE_DECODE_FAILED
    return ("page", Code.PAGE_NOT_RENDERED) if request.length else ("document", Code.DOCUMENT_DAMAGED)


class _Codec:
    """One process, alive or not."""

    def __init__(self, limits: ImageLimits) -> None:
        places = [str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        numbers = (limits.max_body_bytes, limits.max_page_pixels, limits.min_page_side_px)
        self._peer, theirs = socket.socketpair()
        with theirs:
            # -P: a module of ours or Pillow's is never taken from the working folder.
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                [sys.executable, "-P", "-m", "quintet.pixels.codec_child", *map(str, numbers)],
                stdin=theirs.fileno(),
                env={**os.environ, **_KEEP_MEMORY, "PYTHONPATH": os.pathsep.join(places)},
            )

    def ask(self, request: Request, body: bytes, descriptor: int | None) -> Reply:
        """Send a request and wait for its answer, as long as the process lives and there is time."""
        self._peer.settimeout(_WALL_SPARE_S + _WALL_TIMES * request.cpu_ms / 1000)
        codec_messages.send_request(self._peer, request, body, descriptor)
        return codec_messages.receive_reply(self._peer)

    def end(self, error: Exception | None = None) -> str:
        """Kill the process unless it is dead already; says how it ended."""
        self._peer.close()
        self._process.kill()
        status = self._process.wait()
        if status == -signal.SIGPROF or isinstance(error, TimeoutError):
            return _TIMED_OUT
        return f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"


class _Budget:
    """Bytes that those who hold some have together; who does not fit waits."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def held(self, count: int) -> Iterator[None]:
        """Hold so many bytes, or all of them if there are not so many."""
        count = min(count, self.most)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + count <= self.most)
            self._taken += count
        try:
            yield
        finally:
            with self._changed:
                self._taken -= count
                self._changed.notify_all()


def _end_all(idle: "queue.LifoQueue[_Codec]") -> None:
    while not idle.empty():
        idle.get_nowait().end()
