"""`quintet read` as real processes, forked from one that has torch loaded: seconds a client are saved."""

from __future__ import annotations

import functools
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.family import RENDERER, processes_below

_CONTEXT = multiprocessing.get_context("forkserver")


@functools.cache
def _preload() -> None:
    """Load what clients need, once, into the process they are forked from."""
    multiprocessing.set_forkserver_preload(["quintet_client.cli", "quintet_client.run.reading", "torch.utils.data"])
    forked = _CONTEXT.Process(target=os.getpid)
    forked.start()
    forked.join()


class Client:
    """One client as a process of its own; what it says goes into a file."""

    def __init__(self, arguments: Sequence[object], log: Path) -> None:
        _preload()
        self.log = log
        self._process = _CONTEXT.Process(target=_run, args=([str(word) for word in arguments], log))
        self._process.start()
        self.pid: int = self._process.pid or 0

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the client alone, not to its loader processes."""
        os.kill(self.pid, number)

    def loaders(self) -> list[psutil.Process]:
        """The client's loader processes."""
        renderers = self.renderers()
        return [child for child in psutil.Process(self.pid).children() if child not in renderers]

    def renderers(self) -> list[psutil.Process]:
        """The processes that open documents for it, while there are any."""
        return processes_below(self.pid, RENDERER)

    def limit_files(self, size_bytes: int) -> None:
        """Let no file grow beyond a size from now on."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    def wait(self, timeout_s: float) -> int:
        """The exit code; minus the number of the signal that killed it.

        Raises:
            TimeoutError: it still runs; it is killed.
        """
        self._process.join(timeout_s)
        if self.alive:
            self.end()
            raise TimeoutError(f"the client has not ended after {timeout_s:.0f} s, see {self.log}")
        return int(self._process.exitcode or 0)

    def end(self) -> None:
        """Kill it if it still runs."""
        self._process.kill()
        self._process.join()

    def said(self) -> str:
        """What it wrote so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def _run(arguments: list[str], log: Path) -> None:
    """The client's process."""
    os.environ.pop("QUINTET_TOKEN_FILE", None)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from quintet_client import cli  # noqa: PLC0415 - loaded before the fork, and only there

    sys.argv = ["quintet", *arguments]
    code = cli.main(arguments)
    sys.stdout.flush()
    os._exit(code)  # as a command ends: without the clean-up of multiprocessing's own
