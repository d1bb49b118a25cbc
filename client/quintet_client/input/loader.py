"""The loader: worker processes read files into one uint8 tensor a batch. The only module here that needs torch.

Pages of documents are rendered by a process that each worker has for that. Where pages travel through shared memory
the workers decode them too, into the slab of their batch.

Legend: P pages of a batch, B bytes of all its pages together.
"""

import ctypes
import logging
import signal
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from quintet_client.input.bodies import Bodies
from quintet_client.input.source import Source
from quintet_client.input.stores.copies import Copies
from quintet_client.service.page import Limits, Page
from quintet_client.shared_memory.slabs import Slab, Slabs

# Rendering takes a hundred times as long as reading: the first pages must not wait for 63 others.
DOCUMENT_BATCH = 16

_log = logging.getLogger(__name__)


class LoadedBatch(NamedTuple):
    """P pages on their way between processes; a named tuple because the DataLoader pins those.

    One tensor a batch, not one a page: each tensor that crosses a process is a shared-memory file and a descriptor.
    """

    heads: list[Page]  # P pages, their bodies empty
    lengths: list[int]  # P byte counts, in order
    packed: torch.Tensor  # (B,) uint8, pinned where an accelerator is there
    needed_bytes: int  # in shared memory, of all P pages

    def pages(self) -> Iterator[Page]:
        """Yield the pages, each with its own copy of its bytes."""
        start = 0
        for head, length in zip(self.heads, self.lengths, strict=True):
            yield head._replace(body=ctypes.string_at(self.packed.data_ptr() + start, length) if length else b"")
            start += length


class Task(NamedTuple):
    """One batch to load: P neighbouring sources, and the slab to decode them into if there is one."""

    first: int
    pages: int
    slab: Slab | None


class PageFiles(Dataset[Page]):
    """The pages of the sources, for torch; reading one never raises, because that would end the worker process."""

    def __init__(
        self, sources: Sequence[Source], memory: memoryview | None, dpi: int, limits: Limits, copies: Copies
    ) -> None:
        self._sources = sources
        self._memory = memory
        self._limits = limits
        # Its renderer's process starts with the first page of a document, in whatever process that is.
        self._bodies = Bodies(dpi, limits, copies)

    def __getitems__(self, task: Task) -> LoadedBatch:
        pages = self._bodies.read(self._sources[task.first : task.first + task.pages])
        if self._memory is None or task.slab is None:
            return pack(pages)
        from quintet_client.shared_memory.pictures import decode_into  # noqa: PLC0415 - only this needs Pillow

        extents, needed_bytes = decode_into([page.body for page in pages], self._memory, task.slab, self._limits)
        decoded = [page._replace(extent=extent) for page, extent in zip(pages, extents, strict=True)]
        return pack(decoded, needed_bytes)

    def close(self) -> None:
        """End the renderer of this process."""
        self._bodies.close()


def pack(pages: list[Page], needed_bytes: int = 0) -> LoadedBatch:
    """Join the bytes of P pages into one (B,) uint8 tensor."""
    joined = bytearray().join(page.body for page in pages)
    packed = torch.frombuffer(joined, dtype=torch.uint8) if joined else torch.empty(0, dtype=torch.uint8)
    heads = [page._replace(body=b"") for page in pages]
    return LoadedBatch(heads, [len(page.body) for page in pages], packed, needed_bytes)


class PageLoader:
    """Batches of pages, in the order of their sources, read ahead by worker processes.

    The processes are forked here, in the constructor: make it before any thread is started.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        batch: int,
        loaders: int,
        dpi: int,
        limits: Limits,
        slabs: Slabs | None = None,
    ) -> None:
        """Start reading at most `batch` pages a batch; 0 loaders read in this process.

        Pages of PDFs are rendered at `dpi` pixels an inch. Pages are decoded into `slabs`, if there are any.
        What the service would not take, by its `limits`, is not read.
        """
        self._sources = sources
        self._batch = batch
        self._dpi = dpi
        self._limits = limits
        self._slabs = slabs
        self._lent: deque[Slab | None] = deque()
        self._here: list[PageFiles] = []
        # Here, not in the processes that use it: they may be killed.
        copied = any(source.page and (source.is_at_address or source.part) for source in sources)
        self._copies = tempfile.TemporaryDirectory(prefix="quintet-", ignore_cleanup_errors=True) if copied else None
        previous = signal.getsignal(signal.SIGCHLD)
        smallest = min(batch, DOCUMENT_BATCH) if any(source.page for source in sources) else batch
        self._batches = self._start(0, min(loaders, -(-len(sources) // smallest)))
        # torch's handler raises wherever the main thread is when a worker dies, and a page in hand would be lost.
        # Without it the iterator itself notices, within seconds.
        signal.signal(signal.SIGCHLD, previous)

    def __iter__(self) -> Iterator[Page]:
        """Yield every source's page once, even if a worker process is killed meanwhile."""
        done = 0
        try:
            for batch in self._batches:
                self._note_filled(batch)
                yield from batch.pages()
                done += len(batch.heads)
        except (RuntimeError, OSError, EOFError) as error:  # a worker is gone, or its end of a socket or pipe
            _log.warning("a loader process died, reading on in this one (/dev/shm full? try --loaders 0): %s", error)
            self._lent.clear()  # another process may still be writing into those slabs: they are not lent again
            for batch in self._start(done, 0):
                self._note_filled(batch)
                yield from batch.pages()
        finally:
            for files in self._here:
                files.close()
            if self._copies:
                self._copies.cleanup()

    def _start(self, first: int, loaders: int) -> Iterator[LoadedBatch]:
        """Read the sources from `first` on."""
        memory = self._slabs.memory if self._slabs else None
        copies = Copies(folder=self._copies.name if self._copies else None)
        files = PageFiles(self._sources, memory, self._dpi, self._limits, copies)
        self._here.append(files)
        loader = DataLoader(
            files,
            batch_sampler=self._tasks(first),  # type: ignore[arg-type] # torch expects lists; what it does is hand it over
            num_workers=loaders,
            collate_fn=lambda batch: batch,
            pin_memory=torch.accelerator.is_available(),
            worker_init_fn=_leave_interrupts_to_the_parent,
            multiprocessing_context="fork" if loaders else None,  # the memory of the slabs is inherited
        )
        batches: Iterator[LoadedBatch] = iter(loader)
        return batches

    def _tasks(self, first: int) -> Iterator[Task]:
        """The tasks, in order; torch takes them one by one, in this process, as far ahead as it reads."""
        while first < len(self._sources):
            slab = self._slabs.lend() if self._slabs else None
            most = self._slabs.pages(self._batch) if self._slabs and slab else self._batch
            most = min(most, DOCUMENT_BATCH) if self._sources[first].page else most
            self._lent.append(slab)
            pages = min(most, len(self._sources) - first)
            yield Task(first, pages, slab)
            first += pages

    def _note_filled(self, batch: LoadedBatch) -> None:
        """Tell the slabs what the slab of this batch holds: batches arrive in the order of their tasks."""
        slab = self._lent.popleft()
        if self._slabs and slab:
            self._slabs.filled(slab, [page.extent for page in batch.heads], batch.needed_bytes)


def _leave_interrupts_to_the_parent(_worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
