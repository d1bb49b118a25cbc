"""Peak resident memory of a process and everything below it, sampled while something runs.

Pages that processes share (a forked loader, mapped weights) count once for each process, so the sum is an upper bound.
"""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

# Listing the children of a process walks all processes of the machine: 5 ms, so no more than a tenth of one core.
PERIOD_S = 0.1


class PeakMemory:
    """Samples the resident memory of a process tree between entry and exit.

    Attributes:
        peak_bytes: the largest sum seen; the last samples are taken on exit.
    """

    def __init__(self, pid: int, period_s: float = PERIOD_S) -> None:
        self.peak_bytes = 0
        self._pid = pid
        self._period_s = period_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._sample()

    def _watch(self) -> None:
        while not self._done.wait(self._period_s):
            self._sample()

    def _sample(self) -> None:
        self.peak_bytes = max(self.peak_bytes, tree_bytes(self._pid))


def tree_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants now; 0 once it is gone."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(_resident(process) for process in family)


def _resident(process: psutil.Process) -> int:
    """Resident memory of one process, which may end meanwhile."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
