"""Memory for the pixels of batches, shared with the processes that write them; on CUDA page-locked, and then kept."""

import fcntl
import logging
import mmap
import os
import weakref
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from quintet.engine.engine import Engine
from quintet.pixels.images import WORD_BYTES
from quintet.tensors.sampling import in_eighths

logger = logging.getLogger(__name__)


class PageMemory:
    """Memory for the pixels of a batch.

    What nobody has written takes nothing. The system has it back with the last look at the words.
    """

    def __init__(self, word_count: int) -> None:
        length = max(1, word_count) * WORD_BYTES
        self.descriptor = os.memfd_create("quintet-pages", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        weakref.finalize(self, os.close, self.descriptor)
        os.ftruncate(self.descriptor, length)
        # Memory that shrinks under its reader kills the worker: a process that an image took over cannot do that.
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self.words: NDArray[np.int32] = np.frombuffer(mmap.mmap(self.descriptor, length), np.int32)


class BatchMemory:
    """Memory for one batch after the other.

    A CPU reads pixels where they are written, so each batch has memory of its own. CUDA copies them: from page-locked
    memory beside the host's work, from other memory while the host waits. Locking takes as long as such a copy, so one
    locked piece serves all batches: as large as the largest of them, and up to an eighth more within `most_words`.
    """

    def __init__(self, engine: Engine, most_words: int) -> None:
        """Take nothing yet; batches of several pages have at most so many words."""
        self._engine = engine
        self._most_words = most_words
        self._kept: PageMemory | None = None
        self._unlock: Callable[[], object] = _nothing
        self._wait_for_copy: Callable[[], None] = _nothing
        self._locks = True  # until it was refused

    def take(self, word_count: int) -> PageMemory:
        """Memory of at least so many words; where it is kept, what the batch before has there is lost."""
        if self._kept is None or len(self._kept.words) < word_count:
            return self._new(word_count)
        self._wait_for_copy()
        return self._kept

    def copied(self) -> None:
        """All that is to be copied from the batch's memory has been queued: the next batch waits for that."""
        if self._kept is not None:
            self._wait_for_copy = self._engine.mark()

    def _new(self, word_count: int) -> PageMemory:
        self._unlock()
        self._kept, self._unlock, self._wait_for_copy = None, _nothing, _nothing
        if not self._locks:
            return PageMemory(word_count)
        memory = PageMemory(min(int(in_eighths(torch.tensor(word_count))), max(word_count, self._most_words)))
        view = memory.words.data.cast("B")
        if self._engine.pin(view):
            unlock = weakref.finalize(self, self._engine.unpin, view)
            unlock.atexit = False  # the process's end undoes it too, and CUDA may be gone before
            self._kept, self._unlock = memory, unlock
        else:
            self._locks = False
        return memory


def _nothing() -> None: ...
