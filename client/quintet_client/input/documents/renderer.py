"""The client's side of the process that opens documents: starts it, asks it, and replaces it when it dies or stalls."""

import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import IO, Any, cast

from quintet_client.errors import ServerUnreachableError
from quintet_client.input.documents.codes import SHARD_HAS_CHANGED, DocumentCode
from quintet_client.input.documents.messages import Answer, answer_unpacked, packed
from quintet_client.input.regular_files import stamp_of, why_not
from quintet_client.input.source import Source
from quintet_client.input.stores.copies import Copies
from quintet_client.service.page import UNKNOWN, USUAL_LIMITS, Limits

# A page of 100 megapixels takes a few seconds; what takes a minute is made to.
PAGE_S = 60.0
# The largest page the service takes, transparent, has 2.0 GB while it is laid on white, and 1.3 GB as noise in a PDF.
MEMORY_BYTES = 3 * 1024**3
# A renderer that dies may have been the system's choice when memory was short: the page has another try.
_TRIES = 2
# Three minutes of one document; without this, a hostile one of ten thousand pages would hold the run up for a week.
_STALLS_A_DOCUMENT = 3
_CHUNK_BYTES = 1024 * 1024
# These go away while the file stays as it is, so that the next run tries again.
_NOT_THE_FILES_FAULT = {DocumentCode.UNREADABLE_FILE, DocumentCode.RENDERER_MISSING}
_log = logging.getLogger(__name__)
_Pipes = tuple[IO[bytes], IO[bytes]]


class _DiedError(Exception):
    """The process ended in mid-request, or says what it should not."""


class _StalledError(Exception):
    """No answer came in time."""


class Renderer:
    """Opens documents in a process of its own, which starts with the first request. Safe to share between threads.

    A renderer that has not been asked yet may be copied into another process by a fork.
    """

    def __init__(
        self,
        page_s: float = PAGE_S,
        memory_bytes: int = MEMORY_BYTES,
        limits: Limits = USUAL_LIMITS,
        copies: Copies | None = None,
        passwords: Sequence[str] = (),
    ) -> None:
        """Prepare.

        Args:
            page_s: seconds that a page has, or opening and counting.
            memory_bytes: address space that the process has.
            limits: of the service, which the images keep to.
            copies: where documents of stores and tars become files.
            passwords: of PDFs, tried in turn; the process is told them with each request, over its pipe.
        """
        self._passwords = passwords
        self._copies = copies or Copies()
        self._limits = limits
        self._page_s = page_s
        self._memory_bytes = memory_bytes
        self._child: _Child | None = None
        self._stalls: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        child = self._child
        return child.pid if child else None

    def count(self, path: str) -> Answer:
        """Number the pages of a PDF or TIFF, or say why there are none. Never raises for what a document holds."""
        return self.render(path, 0, 0)

    def render(self, path: str, page: int, dpi: int) -> Answer:
        """Render a page, from 1, of a PDF or TIFF, which has its own resolution; or say why there is no image."""
        with self._lock:
            return self._render(path, page, dpi)

    def render_source(self, page: Source, dpi: int = 0) -> Answer:
        """Render a page of a document wherever it is, in a store or a tar as well; of page 0 number the pages."""
        if not page.is_at_address and page.part is None:
            return self.render(page.path, page.page, dpi)
        with self._lock:
            try:
                copy, stamp = self._copies.of(page)
            except OSError as error:
                return Answer(code=DocumentCode.UNREADABLE_FILE, message=why_not(error))
            except ServerUnreachableError as error:
                return Answer(code=DocumentCode.STORE_UNREACHABLE, message=str(error))
            if page.part is not None and stamp != page.stamp:
                return Answer(code=DocumentCode.UNREADABLE_FILE, message=SHARD_HAS_CHANGED)
            answer = self._render(copy, page.page, dpi)
            return answer if answer.stamp == UNKNOWN else answer._replace(stamp=stamp)

    def close(self) -> None:
        """End the process. Another request starts a new one."""
        with self._lock:
            self._end_child()
            self._copies.close()

    def _render(self, path: str, page: int, dpi: int) -> Answer:
        stamp = stamp_of(path)
        if self._stalls[path] >= _STALLS_A_DOCUMENT:
            return Answer(stamp, code=DocumentCode.RENDERER_STALLED, message="earlier pages stalled the renderer")
        asked = {"path": path, "page": page, "dpi": dpi, "limits": self._limits, "passwords": self._passwords}
        answer = self._answer(asked)
        if answer.code == DocumentCode.RENDERER_STALLED:
            self._stalls[path] += 1
        if answer.code in _NOT_THE_FILES_FAULT:
            return answer._replace(stamp=UNKNOWN)
        return answer if answer.stamp != UNKNOWN else answer._replace(stamp=stamp)

    def _answer(self, request: dict[str, Any]) -> Answer:
        """Ask, once more if the process dies; what did not survive is replaced."""
        how = ""
        for _ in range(_TRIES):
            try:
                self._child = self._child or _Child(self._memory_bytes, self._page_s)
                return self._child.ask(packed(request), self._page_s, self._limits.largest_body_bytes)
            except _StalledError:
                self._end_child()
                message = f"no answer of the renderer within {self._page_s:g} s"
                return Answer(code=DocumentCode.RENDERER_STALLED, message=message)
            except _DiedError:
                how = self._end_child()
                _log.warning("the renderer of documents %s at page %s of %r", how, request["page"], request["path"])
            except OSError as error:  # no process or no pipe to be had
                how = self._end_child() or f"could not be started ({error.strerror})"
        return Answer(code=DocumentCode.RENDERER_CRASHED, message=f"the renderer {how} at this page, {_TRIES} times")

    def _end_child(self) -> str:
        how = self._child.end() if self._child else ""
        self._child = None
        return how


class _Child:
    """One process, alive or not."""

    def __init__(self, memory_bytes: int, page_s: float) -> None:
        # -P: a module of ours or Pillow's is never taken from the working folder. A session of its own: Ctrl-C ends
        # the client, not the page in hand. Native code's warnings about documents are nobody's log.
        self._process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-P", "-m", "quintet_client.input.documents.child", str(memory_bytes), str(page_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
            # One thread of NumPy's reserves what 64 would: address space counts.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        self.pid = self._process.pid
        self._requests, self._answers = cast("_Pipes", (self._process.stdin, self._process.stdout))

    def ask(self, message: bytes, within_s: float, most_bytes: int) -> Answer:
        """Send a request and wait for its answer, as long as the process lives and there is time."""
        ends_at = time.monotonic() + within_s
        try:
            self._requests.write(message)
            return answer_unpacked(lambda count: _taken(self._answers, count, ends_at), most_bytes)
        except (BrokenPipeError, ValueError, TypeError, KeyError) as error:
            raise _DiedError from error

    def end(self) -> str:
        """Kill the process unless it is dead already; says how it ended."""
        self._requests.close()
        self._answers.close()
        self._process.kill()
        status = self._process.wait()
        return f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"


def _taken(answers: IO[bytes], count: int, ends_at: float) -> bytes:
    """Read so many bytes, no later than `ends_at`."""
    read = bytearray()
    poll = select.poll()
    poll.register(answers, select.POLLIN)
    while len(read) < count:
        left_s = ends_at - time.monotonic()
        if left_s <= 0 or not poll.poll(1000 * left_s):
            raise _StalledError
        chunk = os.read(answers.fileno(), min(count - len(read), _CHUNK_BYTES))
        if not chunk:
            raise _DiedError
        read += chunk
    return bytes(read)
