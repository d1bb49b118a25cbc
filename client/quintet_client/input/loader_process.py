"""The loader's process: torch's DataLoader, which reads files into one uint8 tensor a batch in workers of its own.

Nothing else here needs torch. Importing it takes seconds of a core, in which the client reads and sends pages itself;
by then the client has threads, and could not fork the workers safely.

Legend: P pages of a batch, B bytes of all its pages together.
"""

import ctypes
import logging
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, NamedTuple, cast

from quintet_client.input.bodies import Bodies
from quintet_client.input.source import Source
from quintet_client.service.page import Limits, Page
from quintet_client.shared_memory.slabs import Slab

if TYPE_CHECKING:
    import torch

_NEXT_TASK = "next task"
# For the workers to finish a batch and remove the folders of their sockets.
_ENDS_WITHIN_S = 2.0
_log = logging.getLogger(__name__)


class Task(NamedTuple):
    """One batch to load: P neighbouring sources, and the slab to decode them into if there is one."""

    first: int
    pages: int
    slab: Slab | None


class Batch(NamedTuple):
    """P loaded pages, and the bytes in shared memory that all of them need."""

    pages: list[Page]
    needed_bytes: int = 0


class PackedBatch(NamedTuple):
    """A batch on its way out of a worker; a named tuple because the DataLoader pins those.

    One tensor a batch, not one a page: each tensor that crosses a process is a shared-memory file and a descriptor.
    """

    heads: list[Page]  # P pages, their bodies empty
    lengths: list[int]  # P byte counts, in order
    packed: "torch.Tensor"  # (B,) uint8, pinned where an accelerator is there
    needed_bytes: int

    def bodies(self) -> Iterator[bytes]:
        """Yield a copy of the bytes of each page."""
        start = self.packed.data_ptr()
        for length in self.lengths:
            yield ctypes.string_at(start, length) if length else b""
            start += length


class PageFiles:
    """The pages of the sources; reading one never raises, because that would end the process that reads."""

    def __init__(self, sources: Sequence[Source], memory: memoryview | None, bodies: Bodies, limits: Limits) -> None:
        self._sources = sources
        self._memory = memory
        self._limits = limits
        self._bodies = bodies  # its renderer's process starts with the first page of a document, wherever that is

    def read(self, task: Task) -> Batch:
        """Read the pages of a task."""
        pages = self._bodies.read(self._sources[task.first : task.first + task.pages])
        if self._memory is None or task.slab is None:
            return Batch(pages)
        from quintet_client.shared_memory.pictures import decode_into  # noqa: PLC0415 - only this needs Pillow

        extents, needed_bytes = decode_into([page.body for page in pages], self._memory, task.slab, self._limits)
        return Batch([page._replace(extent=at) for page, at in zip(pages, extents, strict=True)], needed_bytes)

    def __getitems__(self, task: Task) -> PackedBatch:
        """The same for torch, in a worker."""
        return pack(self.read(task))

    def close(self) -> None:
        """Let go of what was opened in this process, for now."""
        self._bodies.close()


def pack(batch: Batch) -> PackedBatch:
    """Join the bytes of P pages into one (B,) uint8 tensor."""
    import torch  # noqa: PLC0415 - there already, in a worker

    joined = bytearray().join(page.body for page in batch.pages)
    packed = torch.frombuffer(joined, dtype=torch.uint8) if joined else torch.empty(0, dtype=torch.uint8)
    heads = [page._replace(body=b"") for page in batch.pages]
    return PackedBatch(heads, [len(page.body) for page in batch.pages], packed, batch.needed_bytes)


class LoaderProcess:
    """Loads batches, read ahead by workers, once torch is there.

    It asks for a task whenever the DataLoader wants one; None tells it that there are no more. A batch comes as its
    heads and the bytes that it needs in shared memory, then body by body.
    """

    def __init__(self, files: PageFiles, workers: int) -> None:
        """Fork it, before any thread is started: it inherits the sources and the memory of the slabs."""
        context = multiprocessing.get_context("fork")
        self._connection, its_own = context.Pipe()
        self._process = context.Process(target=_load, args=(its_own, self._connection, files, workers))
        self._process.start()
        its_own.close()
        self._group = cast("int", self._process.pid)
        os.setpgid(self._group, 0)  # of it and its workers: Ctrl-C does not reach them
        self._has_workers = False

    @property
    def ready(self) -> bool:
        """Whether `batches` need not wait for torch; also if the process is gone."""
        return self._connection.poll()

    def batches(self, tasks: Iterator[Task]) -> Iterator[Batch]:
        """Yield the batch of each task, in order; to be asked for no more. Tasks are taken as far ahead as torch reads.

        Raises:
            EOFError, OSError: the process, or one of its workers, is gone.
        """
        while True:
            said = self._connection.recv()
            self._has_workers = True
            if said == _NEXT_TASK:
                self._connection.send(next(tasks, None))
            else:
                heads, needed_bytes = said
                yield Batch([head._replace(body=self._connection.recv_bytes()) for head in heads], needed_bytes)

    def close(self) -> None:
        """End it and its workers, which have a little time to clean up; while torch is on its way, there are none."""
        self._connection.close()
        self._process.join(_ENDS_WITHIN_S if self._has_workers else 0)
        if self._process.exitcode is None:
            os.killpg(self._group, signal.SIGKILL)
            self._process.join()


def _load(connection: Connection, clients: Connection, files: PageFiles, workers: int) -> None:
    """What the process does. After an error it says nothing more: the client may have half a batch."""
    clients.close()  # if the client dies, the next word to it fails
    try:
        with connection:  # closed before the DataLoader waits for its workers to end: the client notices at once
            for batch in _data_loader(connection, files, workers):
                connection.send((batch.heads, batch.needed_bytes))
                for body in batch.bodies():
                    connection.send_bytes(body)
    except (EOFError, ConnectionError) as error:  # the client has enough, or is gone
        _log.debug("the loader ends: %r", error)
    except (RuntimeError, OSError) as error:  # a worker is gone
        _log.warning("the loader ends: %r", error)


def _data_loader(connection: Connection, files: PageFiles, workers: int) -> Iterable[PackedBatch]:
    import torch  # noqa: PLC0415 - this takes the seconds that the process is there for
    from torch.utils.data import DataLoader  # noqa: PLC0415 - as above

    return DataLoader(
        files,  # type: ignore[arg-type] # torch expects its own class; `__getitems__` is all that it calls
        batch_sampler=_tasks(connection),  # type: ignore[arg-type] # and lists; what it does is hand them over
        num_workers=workers,
        collate_fn=lambda batch: batch,
        pin_memory=torch.accelerator.is_available(),
        worker_init_fn=lambda _: connection.close(),  # or a worker would keep it open when this process dies
        multiprocessing_context="fork",
    )


def _tasks(connection: Connection) -> Iterator[Task]:
    """The client's tasks; torch takes them one by one, as far ahead as it reads."""
    while True:
        connection.send(_NEXT_TASK)
        task: Task | None = connection.recv()
        if task is None:
            return
        yield task
