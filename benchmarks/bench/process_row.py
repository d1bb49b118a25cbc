"""A row whose reader runs in a process of its own, so that its memory is its own and it stays warm between visits."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.bench.figures import Visit
from benchmarks.bench.memory import PeakMemory
from benchmarks.bench.readers.reader import make_reader
from benchmarks.bench.rows import Unavailable


class ReaderError(RuntimeError):
    """The reader's process raised or died, with its own words."""


class ProcessRow:
    """One reader in one spawned process."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        context = multiprocessing.get_context("spawn")  # forked, it would inherit our threads' locks
        self._here, there = context.Pipe()
        # Not a daemon: those may not have loader processes of their own.
        self._process = context.Process(target=_serve, args=(there, dict(options)), daemon=False)

    def open(self, pages: Sequence[Path]) -> str:
        """Start the process and warm its reader up."""
        self._process.start()
        note: str = self._ask("warm_up", list(pages))
        return note

    def visit(self, pages: Sequence[Path], output: Path) -> Visit:
        """Have the pages read once."""
        with PeakMemory(self._process.pid or 0) as memory:
            seconds, detail = self._ask("read", list(pages), output)
        return Visit(len(pages), seconds, memory.peak_bytes, None, detail)

    def close(self) -> None:
        """End the process."""
        if self._process.pid is None:
            return
        if self._process.is_alive():
            self._here.send(None)
        self._process.join(timeout=20)
        self._process.kill()

    def _ask(self, *order: object) -> Any:  # noqa: ANN401 - whatever the order is answered with
        """One order and its answer.

        Raises:
            Unavailable: the reader says so.
            ReaderError: it raised, or its process is gone.
        """
        self._here.send(order)
        while not self._here.poll(1):
            if not self._process.is_alive():
                raise ReaderError(f"the process ended with {self._process.exitcode}")
        kind, answer = self._here.recv()
        if kind == "unavailable":
            raise Unavailable(answer)
        if kind == "failed":
            raise ReaderError(answer)
        return answer


def _serve(connection: Connection, options: Mapping[str, Any]) -> None:
    """The process: orders in, answers out, until None comes."""
    os.dup2(2, 1)  # stdout belongs to the table; some packages log there
    reader = None
    while (order := connection.recv()) is not None:
        try:
            reader = reader or make_reader(options)
            connection.send(("done", _obey(reader, *order)))
        except (ImportError, Unavailable) as error:
            connection.send(("unavailable", f"not available: {error}"))
        except Exception as error:  # noqa: BLE001 - the process's outermost boundary: the other end reports it
            traceback.print_exc()
            connection.send(("failed", f"failed: {type(error).__name__}: {error}"))


def _obey(reader: Any, order: str, pages: Sequence[Path], *output: Path) -> Any:  # noqa: ANN401 - as above
    """Warm up, or read and say how long it took."""
    if order == "warm_up":
        return reader.warm_up(pages)
    begin = time.perf_counter()
    detail = reader.read(pages, *output)
    return time.perf_counter() - begin, detail
