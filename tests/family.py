"""The processes below another one, told by a word of their command line."""

from __future__ import annotations

import contextlib

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
