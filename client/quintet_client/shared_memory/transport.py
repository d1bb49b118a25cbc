"""Pages by reference: a page decoded in memory that the service has mapped travels as 32 bytes.

Whatever goes wrong with that, the page's encoded bytes are still at hand and travel over HTTP.
"""

import json
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from quintet.frame import frames
from quintet.frame.shared_memory.handshake import HandshakeError

from quintet_client.cancellation import Cancellation
from quintet_client.service.outcomes import Answered, Outcome, PageFailed, Trouble
from quintet_client.service.page import Page, Served
from quintet_client.service.transport import HttpTransport, Transport
from quintet_client.shared_memory.buffer import SharedBuffer
from quintet_client.shared_memory.slabs import Slabs

# Offers in a row that no new worker takes, although one does not know the buffer: then the buffer is given up.
MOST_IN_VAIN = 3
# How often pages travel by reference before they travel encoded.
_TRIES = 3
_log = logging.getLogger(__name__)


@contextmanager
def shared_memory(
    http: HttpTransport, size_mb: int, loaders: int, cancellation: Cancellation
) -> Iterator[tuple[Transport, Slabs | None]]:
    """Yield the transport that uses shared memory, and the slabs to fill; plain HTTP and None if there can be none.

    Enter it before any thread is started: the loader's processes inherit the memory.
    """
    try:
        from quintet_client.shared_memory import pictures  # noqa: F401, PLC0415 - needs Pillow, which plain HTTP does not

        buffer = SharedBuffer(size_mb << 20)
    except (ImportError, OSError) as error:
        _log.warning("no shared memory, pages travel over HTTP: %s", error)
        yield http, None
        return
    slabs = Slabs(buffer.view, loaders, cancellation)
    transport = SharedMemoryTransport(http, buffer, slabs)
    try:
        yield transport, slabs
    finally:
        _log.info("%d pages travelled through shared memory", transport.carried)
        buffer.close()


class SharedMemoryTransport:
    """Sends references to pages in the buffer; otherwise, and once the buffer is given up, what HTTP sends."""

    def __init__(self, http: HttpTransport, buffer: SharedBuffer, slabs: Slabs) -> None:
        self._http = http
        self._buffer = buffer
        self._slabs = slabs
        self._lock = threading.RLock()
        self._name = b""  # 16 bytes, which the service makes up
        self._offers = 0  # how often the buffer was offered to workers
        self._in_vain = 0
        self._given_up = threading.Event()
        self.carried = 0  # pages that were read by reference

    @property
    def takes_frames(self) -> bool:
        """Whether several pages may travel in one request."""
        return self._http.takes_frames

    @property
    def stage_seconds(self) -> Mapping[str, float]:
        """How long the service's stages took for what it answered."""
        return self._http.stage_seconds

    def ask_limits(self) -> Served | Trouble:
        """What the service takes, and which model it has."""
        return self._http.ask_limits()

    def read(self, page: Page) -> Outcome:
        """Send the page by reference, or encoded."""
        outcomes = self._by_reference([page])
        if outcomes is None:
            return self._http.read(page)
        return outcomes[0] if isinstance(outcomes, list) else outcomes

    def read_many(self, pages: Sequence[Page]) -> list[Outcome] | Outcome:
        """Send the pages in one frame, each by reference or encoded."""
        outcomes = self._by_reference(pages)
        return self._http.read_many(pages) if outcomes is None else outcomes

    def _by_reference(self, pages: Sequence[Page]) -> list[Outcome] | Outcome | None:
        """The outcome of each page or of the request; None if all have to travel encoded.

        A page that is refused travels again: by reference if a worker did not know the buffer, else encoded. So errors
        of a page are always about its encoded bytes, as they would be without shared memory.
        """
        outcomes = self._attempt(pages, _TRIES, 0) if any(page.extent for page in pages) else None
        if not isinstance(outcomes, list):
            return outcomes
        return [
            self._http.read(page) if page.extent and isinstance(outcome, PageFailed) else outcome
            for page, outcome in zip(pages, outcomes, strict=True)
        ]

    def _attempt(self, pages: Sequence[Page], tries: int, seen: int) -> list[Outcome] | Outcome | None:
        """Send one frame of references, after more offers of the buffer than `seen`, and those not known there again.

        Returns the outcome of each page, one of the request as a whole, or None if the buffer has been given up.
        """
        trouble = self._attach(seen)
        seen = self._offers
        if trouble is not None or self._given_up.is_set():
            return trouble
        slices = [frames.BufferSlice(self._name, *page.extent) if page.extent else page.body for page in pages]
        outcomes = self._http.send_frame(frames.pack_slices(slices), len(pages))
        if isinstance(outcomes, PageFailed) and outcomes.code != "IMAGE_TOO_LARGE":
            self._give_up(outcomes.message)
            return None
        if not isinstance(outcomes, list):
            return outcomes
        answered = [page for page, came in zip(pages, outcomes, strict=True) if isinstance(came, Answered)]
        with self._lock:
            self.carried += sum(page.extent is not None for page in answered)
        lost = [at for at, came in enumerate(outcomes) if isinstance(came, PageFailed) and came.code == "UNKNOWN_RING"]
        again = self._attempt([pages[at] for at in lost], tries - 1, seen) if lost and tries > 1 else None
        for place, at in enumerate(lost):
            outcomes[at] = again[place] if isinstance(again, list) else again or outcomes[at]
        return outcomes

    def _attach(self, seen: int) -> Outcome | None:
        """Ask where the workers listen and offer them the buffer, unless that was done since `seen` was read.

        Returns what kept the service from answering for now, or None. A lasting fault gives up the buffer.
        """
        with self._lock:
            if self._offers != seen or self._given_up.is_set():
                return None
            outcome = self._http.send_frame(frames.pack_question(frames.Kind.BUFFERS), 1)
            answer = outcome[0] if isinstance(outcome, list) else outcome
            if isinstance(answer, Answered):
                self._offer(answer.document)
            elif isinstance(answer, PageFailed):
                self._give_up(answer.message)
            else:
                return answer
            self._offers += 1
            return None

    def _offer(self, document: bytes) -> None:
        try:
            answer = json.loads(document)
            # The first name stays, at workers that start later too: references under way have it.
            self._name = self._name or bytes.fromhex(answer["ring"])
            taken = self._buffer.attach(Path(answer["directory"]), self._name)
        except (HandshakeError, OSError, KeyError, TypeError, ValueError) as error:
            self._give_up(f"the service's sockets cannot be reached from here: {error}")
            return
        self._in_vain = 0 if taken else self._in_vain + 1
        if not self._buffer.workers or self._in_vain >= MOST_IN_VAIN:
            self._give_up("there are workers that do not take it")
        elif taken:
            _log.info("shared memory: taken by %d workers", self._buffer.workers)

    def _give_up(self, reason: str) -> None:
        """Use HTTP from now on, and log it once."""
        with self._lock:
            if self._given_up.is_set():
                return
            self._given_up.set()
            self._slabs.close()
            self._buffer.detach()
        _log.warning("no shared memory from now on, pages travel over HTTP: %s", reason)
