"""The loader: pages in the order of their sources, read ahead by processes; until those are there, by the client.

Pages of documents are rendered by a process that each reading process has for that. Where pages travel through shared
memory they are decoded where they are read, into the slab of their batch.
"""

import logging
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from quintet_client.input.bodies import Bodies
from quintet_client.input.loader_process import Batch, LoaderProcess, PageFiles, Task
from quintet_client.input.source import Source
from quintet_client.input.stores.copies import Copies
from quintet_client.service.page import Limits, Page
from quintet_client.shared_memory.slabs import Slab, Slabs

# Rendering takes a hundred times as long as reading: the first pages must not wait for 63 others.
DOCUMENT_BATCH = 16
_log = logging.getLogger(__name__)


class PageLoader:
    """Batches of pages, in the order of their sources.

    Their process is forked in the constructor: make it before any thread is started, and `close` it.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        batch: int,
        loaders: int,
        dpi: int,
        limits: Limits,
        slabs: Slabs | None = None,
        *,
        passwords: Sequence[str] = (),
    ) -> None:
        """Prepare to read at most `batch` pages a batch; 0 loaders read in this process.

        Pages of PDFs, which are opened with one of `passwords`, are rendered at `dpi` pixels an inch. Pages are decoded
        into `slabs`, if there are any.
        What the service would not take, by its `limits`, is not read.
        """
        self._sources = sources
        self._batch = batch
        self._slabs = slabs
        self._lent: deque[Slab | None] = deque()
        self._done = 0
        # Here, not in the processes that use it: they may be killed.
        copied = any(source.page and (source.is_at_address or source.part) for source in sources)
        self._copies = tempfile.TemporaryDirectory(prefix="quintet-", ignore_cleanup_errors=True) if copied else None
        copies = Copies(folder=self._copies.name if self._copies else None)
        bodies = Bodies(dpi, limits, copies, passwords)
        self._files = PageFiles(sources, slabs.memory if slabs else None, bodies, limits)
        smallest = min(batch, DOCUMENT_BATCH) if any(source.page for source in sources) else batch
        workers = min(loaders, -(-len(sources) // smallest))
        self._process = LoaderProcess(self._files, workers) if workers else None

    def __iter__(self) -> Iterator[Page]:
        """Yield every source's page once, even if a loader process is killed meanwhile."""
        for batch in self._batches():
            self._done += len(batch.pages)
            self._note_filled(batch)
            if not self._left:
                self.close()  # torch, which a small folder does not need, may still be on its way
            yield from batch.pages

    def close(self) -> None:
        """End all that reads."""
        if self._process:
            self._process.close()
            self._process = None
        self._files.close()
        if self._copies:
            self._copies.cleanup()

    @property
    def _left(self) -> int:
        return len(self._sources) - self._done

    def _batches(self) -> Iterator[Batch]:
        if process := self._process:
            yield from self._read_here(1, lambda: process.ready)
            self._files.close()  # the workers open documents and shards themselves
            yield from self._read_there(process)
        yield from self._read_here(DOCUMENT_BATCH)

    def _read_here(self, of_documents: int, enough: Callable[[], bool] = lambda: False) -> Iterator[Batch]:
        """Read on in this process, until that is enough."""
        while self._left and not enough():
            yield self._files.read(next(self._tasks(of_documents)))

    def _read_there(self, process: LoaderProcess) -> Iterator[Batch]:
        """Have the process read on, as long as it lives."""
        batches = process.batches(self._tasks(DOCUMENT_BATCH))
        try:
            while self._left:
                yield next(batches)
        except (OSError, EOFError):
            _log.warning("a loader process died, reading on in this one (/dev/shm full? try --loaders 0)")
            self._lent.clear()  # another process may still be writing into those slabs: they are not lent again

    def _tasks(self, of_documents: int) -> Iterator[Task]:
        """The tasks from here on, in order; of documents so many pages each."""
        first = self._done
        while first < len(self._sources):
            slab = self._slabs.lend() if self._slabs else None
            most = self._slabs.pages(self._batch) if self._slabs and slab else self._batch
            most = min(most, of_documents) if self._sources[first].page else most
            self._lent.append(slab)
            pages = min(most, len(self._sources) - first)
            yield Task(first, pages, slab)
            first += pages

    def _note_filled(self, batch: Batch) -> None:
        """Tell the slabs what the slab of this batch holds: batches arrive in the order of their tasks."""
        slab = self._lent.popleft()
        if self._slabs and slab:
            self._slabs.filled(slab, [page.extent for page in batch.pages], batch.needed_bytes)
