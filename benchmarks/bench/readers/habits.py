"""Rows c: our five networks in process, with one of the bulk habits after another switched on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from quintet.tensors.records import Images, Raster
from torch.utils.data import DataLoader

from benchmarks.bench.readers.loader import DecodedBatch, make_loader
from benchmarks.bench.readers.per_page.reader import PerPageChain
from benchmarks.bench.readers.reader import WARM_PAGES, write_result
from benchmarks.networks import MODEL_STORE, PageChain, Settings

Results = list[dict[str, Any]]


@dataclass(frozen=True)
class Habits:
    """What is switched on.

    Attributes:
        batch: pages a batch.
        loaders: worker processes read and decode ahead; otherwise this process does, between batches.
        tensors: pre- and post-processing of all pages at once in tensors; otherwise page by page, line by line in
            NumPy and OpenCV.
        writers: threads that write results; 0 writes them between batches.
    """

    batch: int = 1
    loaders: bool = False
    tensors: bool = False
    writers: int = 0


def make(**habits: Any) -> HabitReader:  # noqa: ANN401 - the fields of Habits
    """The reader of one of these rows."""
    return HabitReader(Habits(**habits))


class HabitReader:
    """The chain in process."""

    def __init__(self, habits: Habits, chain: PageChain | None = None) -> None:
        self._habits = habits
        self._loaders: dict[tuple[Path, ...], DataLoader[Any]] = {}
        chain = chain or PageChain(Settings(), MODEL_STORE)
        self._engine = f"{chain.engine.name} on {chain.engine.device.type}"
        self._read_batch: Callable[[DecodedBatch], Results] = (
            TensorChain(chain) if habits.tensors else PerPageChain(chain, MODEL_STORE)
        )

    def warm_up(self, pages: Sequence[Path]) -> str:
        """Read a page or two, and start the loader: a run of millions of pages does that once."""
        for batch in make_loader(pages[:WARM_PAGES], self._habits.batch, workers=False):
            self._read_batch(batch)
        for _ in self._loader_of(pages):
            pass
        return self._engine

    def read(self, pages: Sequence[Path], output: Path) -> dict[str, Any]:
        """Read the pages with the habits that are switched on."""
        batches = self._loader_of(pages)
        if not self._habits.writers:
            for batch in batches:
                _write(output, batch.names, self._read_batch(batch))
            return {}
        with ThreadPoolExecutor(self._habits.writers, thread_name_prefix="write") as pool:
            written: list[Future[None]] = []
            for batch in batches:
                results = zip(batch.names, self._read_batch(batch), strict=True)
                written += [pool.submit(write_result, output, name, result) for name, result in results]
        for one in written:
            one.result()
        return {}

    def _loader_of(self, pages: Sequence[Path]) -> DataLoader[Any]:
        """The loader of these pages; its processes are forked when it is first iterated."""
        key = tuple(pages)
        if key not in self._loaders:
            self._loaders[key] = make_loader(key, self._habits.batch, workers=self._habits.loaders)
        return self._loaders[key]


class TensorChain:
    """The real chain over decoded pages."""

    def __init__(self, chain: PageChain) -> None:
        self._chain = chain

    @torch.inference_mode()
    def __call__(self, batch: DecodedBatch) -> Results:
        """One result a page."""
        to_device = self._chain.engine.to_device
        raster = Raster.end_to_end(to_device(batch.pixels), batch.sizes_px, to_device)
        return self._chain.read(Images(raster, batch.sizes_px))


def _write(output: Path, names: Sequence[str], results: Results) -> None:
    for name, result in zip(names, results, strict=True):
        write_result(output, name, result)
