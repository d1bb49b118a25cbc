"""The processes below another one, told by a word of their command line, and what they took."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import psutil

WORKER = "model_service_worker"
RENDERER = "quintet_client.input.documents.child"


def processes_below(pid: int, word: str) -> list[psutil.Process]:
    """Children and theirs whose command line holds a word; those that end meanwhile are passed over."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):  # `pid` itself may have ended
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if word in " ".join(process.cmdline()):
                    found.append(process)
    return found


def cpu_s(processes: Iterable[psutil.Process]) -> float:
    """Time of a CPU that processes have taken since they started."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)
