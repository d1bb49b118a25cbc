"""Pages by their places: what lies decoded in memory that the service has mapped travels as 32 bytes.

Whatever goes wrong on this way, the page's encoded bytes are still at hand and travel over HTTP.
"""

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from quintet.frame import frames
from quintet.frame.shared_memory.handshake import NAME_BYTES, HandshakeError

from quintet_client.cancellation import Cancellation
from quintet_client.service.outcomes import Answered, Outcome, PageFailed
from quintet_client.service.page import Page
from quintet_client.service.transport import HttpTransport, Transport
from quintet_client.shared_memory.buffer import SharedBuffer
from quintet_client.shared_memory.slabs import Slabs

# Attaching that finds no new worker although one does not know the buffer: after so often the buffer is of no use.
MOST_IN_VAIN = 3
# How often pages travel by their places before they travel as they are.
_TRIES = 3
_log = logging.getLogger(__name__)


@contextmanager
def shared_memory(
    http: HttpTransport, size_mb: int, loaders: int, cancellation: Cancellation
) -> Iterator[tuple[Transport, Slabs | None]]:
    """The transport that uses shared memory and the slabs to fill; plain HTTP and none where there can be no memory.

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
    """Sends places where pages lie in the buffer; otherwise, and once the buffer is given up, what HTTP sends."""

    def __init__(self, http: HttpTransport, buffer: SharedBuffer, slabs: Slabs) -> None:
        self._http = http
        self._buffer = buffer
        self._slabs = slabs
        self._lock = threading.RLock()
        self._name: bytes | None = None
        self._attached = 0  # how often workers have been looked for
        self._in_vain = 0
        self._given_up = threading.Event()
        self._carried = 0

    @property
    def carried(self) -> int:
        """How many pages have been read at their places."""
        return self._carried

    @property
    def takes_frames(self) -> bool:
        """Whether several pages may travel together."""
        return self._http.takes_frames

    def read(self, page: Page) -> Outcome:
        """Send the page by its place, or as it is."""
        came = self._by_places([page])
        if came is None:
            return self._http.read(page)
        return came[0] if isinstance(came, list) else came

    def read_many(self, pages: Sequence[Page]) -> list[Outcome] | Outcome:
        """Send the pages in one frame, each by its place or as it is."""
        came = self._by_places(pages)
        return self._http.read_many(pages) if came is None else came

    def _by_places(self, pages: Sequence[Page]) -> list[Outcome] | Outcome | None:
        """What became of the pages; None if they have to travel as they are.

        What is refused at its place travels again: by its place if a worker did not know the buffer, else as it is. So
        what is wrong with a page is always said of its encoded bytes, in the words that it would have had without us.
        """
        if not any(page.extent for page in pages):
            return None
        came, seen = self._attempt(pages, 0)
        if not isinstance(came, list):
            return came
        for _ in range(_TRIES - 1):
            lost = [number for number, outcome in enumerate(came) if _is_of_unknown_buffer(outcome)]
            again, seen = self._attempt([pages[number] for number in lost], seen) if lost else (None, seen)
            for place, number in enumerate(lost):
                came[number] = again[place] if isinstance(again, list) else again or came[number]
        return [
            self._http.read(page) if page.extent and isinstance(outcome, PageFailed) else outcome
            for page, outcome in zip(pages, came, strict=True)
        ]

    def _attempt(self, pages: Sequence[Page], seen: int) -> tuple[list[Outcome] | Outcome | None, int]:
        """One frame of places, once workers have been looked for more often than `seen`.

        Returns:
            The outcome of each page, one of the request as a whole, or None if the buffer has been given up; and how
            often workers had been looked for when the frame was sent.
        """
        trouble = self._attach(seen)
        seen = self._attached
        if trouble is not None or self._given_up.is_set():
            return trouble, seen
        came = self._http.send_frame(self._frame(pages), len(pages))
        self._count(pages, came)
        if isinstance(came, PageFailed) and came.code != "IMAGE_TOO_LARGE":
            self._give_up(came.message)
            return None, seen
        return came, seen

    def _count(self, pages: Sequence[Page], came: list[Outcome] | Outcome) -> None:
        if isinstance(came, list):
            with self._lock:
                self._carried += sum(
                    page.extent is not None and isinstance(outcome, Answered)
                    for page, outcome in zip(pages, came, strict=True)
                )

    def _frame(self, pages: Sequence[Page]) -> bytes:
        name = self._name or bytes(NAME_BYTES)
        return frames.pack_slices(
            [frames.BufferSlice(name, *page.extent) if page.extent else page.body for page in pages]
        )

    def _attach(self, seen: int) -> Outcome | None:
        """Ask where buffers are taken and offer ours to every worker there that does not hold it.

        Args:
            seen: how often that had been done when the reason for it came up; done since then, it is not done again.

        Returns:
            What kept the service from answering for now, or None. Whatever lasts makes us give up the buffer.
        """
        with self._lock:
            if self._attached != seen or self._given_up.is_set():
                return None
            came = self._http.send_frame(frames.pack_buffers_question(), 1)
            answer = came[0] if isinstance(came, list) else came
            match answer:
                case Answered():
                    self._offer(answer.document)
                case PageFailed():
                    self._give_up(answer.message)
                case _:
                    return answer
            self._attached += 1
            return None

    def _offer(self, document: bytes) -> None:
        """Offer the buffer where the service says."""
        try:
            answer = json.loads(document)
            # The first name stays: pages under way are called by it, and so they are at workers that come later.
            self._name = self._name or _name(answer["ring"])
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
        """Use HTTP from now on, and say so once."""
        with self._lock:
            if self._given_up.is_set():
                return
            self._given_up.set()
            self._slabs.close()
            self._buffer.detach()
        _log.warning("no shared memory from now on, pages travel over HTTP: %s", reason)


def _name(text: str) -> bytes:
    name = bytes.fromhex(text)
    if len(name) != NAME_BYTES:
        raise ValueError(f"a buffer's name has {NAME_BYTES} bytes")
    return name


def _is_of_unknown_buffer(outcome: Outcome) -> bool:
    return isinstance(outcome, PageFailed) and outcome.code == "UNKNOWN_RING"
