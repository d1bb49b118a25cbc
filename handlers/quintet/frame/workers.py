"""Who answers: this worker among those that its model has now. Clients tell a lost request from a slow one by it."""

import hashlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator

import psutil

# Looking at the server's processes takes milliseconds; an answer may be that quick.
_LOOK_EVERY_S = 1.0


class Workers:
    """The value of `WORKERS_HEADER`: the ids of the server, of this worker, and of those of its model beside it.

    A worker's id is its process's. The server's is that of its machine and temporary folder: one that is started again
    keeps it. Workers of other models answer none of this one's requests; each runs in the folder of its model.
    """

    def __init__(self) -> None:
        place = f"{socket.gethostname()} {tempfile.gettempdir()}"
        self._server = hashlib.blake2b(place.encode(), digest_size=6).hexdigest()
        self._like = _of(psutil.Process())
        self._others: list[int] = []
        self._looked_at = float("-inf")

    def header(self) -> str:
        """Name this worker and the others, as they were within the last second."""
        now = time.monotonic()
        if now - self._looked_at > _LOOK_EVERY_S:
            self._others = list(self._look())
            self._looked_at = now
        return " ".join([self._server, str(os.getpid()), *map(str, self._others)])

    def _look(self) -> Iterator[int]:
        for process in psutil.Process(os.getppid()).children():
            try:
                if process.pid != os.getpid() and _of(process) == self._like:
                    yield process.pid
            except psutil.Error:  # it has ended
                continue


def _of(process: psutil.Process) -> tuple[list[str], str]:
    """Python and the worker's script, behind which command lines differ, and the folder of the model."""
    return process.cmdline()[:2], process.cwd()
