"""The rows of the table: their names, what they do and which class does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.bench.figures import Visit


class Unavailable(RuntimeError):  # noqa: N818 - no fault of anybody's
    """A row cannot run on this machine or in this version, with the reason."""


class Row(Protocol):
    """What can be visited in turn with others."""

    def open(self, pages: Sequence[Path]) -> str:
        """Start and warm up; returns notes for the table.

        Raises:
            Unavailable: it cannot run here.
        """

    def visit(self, pages: Sequence[Path], output: Path) -> Visit:
        """Read the pages once into `output`/pages."""

    def close(self) -> None:
        """End whatever was started; called also when `open` failed."""


@dataclass(frozen=True)
class Entry:
    """One row of the catalogue.

    Attributes:
        key: such as `c2`.
        title: what it does.
        kind: `process` for a reader in a process of its own, `service` for the client and a service.
        options: of the reader's maker or of the service row, by name.
    """

    key: str
    title: str
    kind: str
    options: tuple[tuple[str, object], ...] = ()


CATALOGUE = (
    Entry("a", "seed's script: RapidAI's five, one page at a time", "process", (("reader", "seed_script"),)),
    Entry("b1", "RapidOCR alone, its fastest CPU engine", "process", (("reader", "rapidocr_alone"),)),
    Entry("b2", "faster-paddle, small, its batch call", "process", (("reader", "peers"), ("package", "faster_paddle"))),
    Entry("b3", "TurboOCR, OpenVINO, its batch call", "process", (("reader", "peers"), ("package", "turboocr_engine"))),
    Entry("c1", "chain: batch 1, loader here, per page, sync writes", "process", (("reader", "habits"),)),
    Entry("c2", "+ batch 64", "process", (("reader", "habits"), ("batch", 64))),
    Entry("c3", "+ loader processes", "process", (("reader", "habits"), ("batch", 64), ("loaders", True))),
    Entry(
        "c4",
        "+ post-processing in batched tensors",
        "process",
        (("reader", "habits"), ("batch", 64), ("loaders", True), ("tensors", True)),
    ),
    Entry(
        "c5",
        "+ writes from a thread pool",
        "process",
        (("reader", "habits"), ("batch", 64), ("loaders", True), ("tensors", True), ("writers", 4)),
    ),
    Entry("d1", "TorchServe: one page a request", "service", (("mode", "single"),)),
    Entry("d2", "TorchServe: packed bodies", "service", (("mode", "packed"),)),
    Entry("d3", "TorchServe: shared memory", "service", (("mode", "shared"),)),
    Entry("e", "floor: the five networks alone", "process", (("reader", "floor"),)),
)


def choose_rows(keys: Sequence[str]) -> list[Entry]:
    """The catalogue's rows of the given keys or letters, in its order; all, if there is no key.

    Raises:
        ValueError: a key names no row.
    """
    for key in keys:
        if not any(entry.key.startswith(key) for entry in CATALOGUE):
            known = ", ".join(entry.key for entry in CATALOGUE)
            raise ValueError(f"no row is called {key!r}; there are {known}")
    return [entry for entry in CATALOGUE if not keys or any(entry.key.startswith(key) for key in keys)]
