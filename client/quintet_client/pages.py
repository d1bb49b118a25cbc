"""The loader: worker processes read files into one uint8 tensor a batch. The only module here that needs torch.

Legend: P pages of a batch, B bytes of all its pages together.
"""

import ctypes
import logging
import os
import signal
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from quintet_client.sources import Source

# Nothing the server takes is larger, and a batch of them must fit into memory: the rest is refused unread.
MAX_BODY_BYTES = 256 * 1024 * 1024

_log = logging.getLogger(__name__)


class FileStamp(NamedTuple):
    """What tells one state of a file from another; -1 where the file could not be read."""

    size_bytes: int
    mtime_ns: int


class LoadedPage(NamedTuple):
    """One file as read: its bytes, or why there are none."""

    page_id: str
    stamp: FileStamp
    body: bytes
    error_code: str
    error: str


class LoadedBatch(NamedTuple):
    """P pages on their way between processes; a named tuple because the DataLoader pins those.

    One tensor a batch, not one a page: each tensor that crosses a process is a shared-memory file and a descriptor.
    """

    heads: list[LoadedPage]  # P pages, their bodies empty
    lengths: list[int]  # P byte counts, in order
    packed: torch.Tensor  # (B,) uint8, pinned where an accelerator is there

    def pages(self) -> Iterator[LoadedPage]:
        """Yield the pages, each with its own copy of its bytes."""
        start = 0
        for head, length in zip(self.heads, self.lengths, strict=True):
            yield head._replace(body=ctypes.string_at(self.packed.data_ptr() + start, length) if length else b"")
            start += length


class PageFiles(Dataset[LoadedPage]):
    """The files of the sources; reading one never raises, because that would end the worker process."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> LoadedPage:
        return read_page(self._sources[index])


def read_page(source: Source) -> LoadedPage:
    """Read one regular file whole; anything else, and any error, becomes the page's error."""
    try:
        stamp, body = _read_regular(source.path)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in a name from a list
        reason = getattr(error, "strerror", None) or str(error)
        return LoadedPage(source.page_id, FileStamp(-1, -1), b"", "UNREADABLE_FILE", reason)
    if stamp.size_bytes > MAX_BODY_BYTES:
        reason = f"{stamp.size_bytes} bytes; at most {MAX_BODY_BYTES} are sent"
        return LoadedPage(source.page_id, stamp, b"", "IMAGE_TOO_LARGE", reason)
    return LoadedPage(source.page_id, stamp, body, "", "")


def _read_regular(path: str) -> tuple[FileStamp, bytes]:
    # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a regular file")
        stamp = FileStamp(status.st_size, status.st_mtime_ns)
        return stamp, file.readall() if stamp.size_bytes <= MAX_BODY_BYTES else b""


def pack(pages: list[LoadedPage]) -> LoadedBatch:
    """Join the bytes of P pages into one (B,) uint8 tensor."""
    joined = bytearray().join(page.body for page in pages)
    packed = torch.frombuffer(joined, dtype=torch.uint8) if joined else torch.empty(0, dtype=torch.uint8)
    return LoadedBatch([page._replace(body=b"") for page in pages], [len(page.body) for page in pages], packed)


class PageLoader:
    """Batches of pages, in the order of their sources, read ahead by worker processes.

    The processes are forked here, in the constructor: make it before any thread is started.
    """

    def __init__(self, sources: Sequence[Source], batch: int, loaders: int) -> None:
        """Start reading.

        Args:
            sources: what to read.
            batch: pages a batch.
            loaders: worker processes; 0 reads in this one.
        """
        self._sources = sources
        self._batch = batch
        previous = signal.getsignal(signal.SIGCHLD)
        self._batches = _start(sources, batch, min(loaders, -(-len(sources) // batch)))
        # torch's handler raises in whatever line the main thread stands when a worker dies, and a page in hand
        # would be lost. Without it the iterator itself notices, within seconds.
        signal.signal(signal.SIGCHLD, previous)

    def __iter__(self) -> Iterator[LoadedPage]:
        """Yield every source's page once, even if a worker process is killed meanwhile."""
        done = 0
        try:
            for batch in self._batches:
                yield from batch.pages()
                done += len(batch.heads)
        except (RuntimeError, OSError, EOFError) as error:  # a worker is gone, or its end of a socket or pipe
            _log.warning("a loader process died, reading on in this one (/dev/shm full? try --loaders 0): %s", error)
            for batch in _start(self._sources[done:], self._batch, 0):
                yield from batch.pages()


def _start(sources: Sequence[Source], batch: int, loaders: int) -> Iterator[LoadedBatch]:
    loader = DataLoader(
        PageFiles(sources),
        batch_size=batch,
        num_workers=loaders,
        collate_fn=pack,
        pin_memory=torch.accelerator.is_available(),
        worker_init_fn=_leave_interrupts_to_the_parent,
    )
    batches: Iterator[LoadedBatch] = iter(loader)
    return batches


def _leave_interrupts_to_the_parent(_worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
