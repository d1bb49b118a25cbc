"""The loader of the habits: files read and decoded by a DataLoader, in this process or in workers.

Pixels travel as R, G, B and one byte that nobody reads: four bytes that the chain takes as one int32 and NumPy as rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from quintet.pages.settings import Settings
from quintet.pixels.images import decode_image
from torch.utils.data import DataLoader, Dataset


class DecodedBatch(NamedTuple):
    """P pages; a named tuple because the DataLoader pins those.

    Attributes:
        names: file names.
        sizes_px: (P, 2) int64, width and height.
        pixels: (S,) int32, all pages end to end.
    """

    names: list[str]
    sizes_px: torch.Tensor
    pixels: torch.Tensor

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Each page as (H, W, 4) uint8: R, G, B, X."""
        counts: list[int] = self.sizes_px.prod(dim=1).tolist()
        for (width, height), page in zip(self.sizes_px.tolist(), self.pixels.split(counts), strict=True):
            yield page.numpy().view(np.uint8).reshape(height, width, 4)


@dataclass(frozen=True)
class PageImages(Dataset[tuple[str, tuple[int, int], NDArray[np.int32]]]):
    """Pages by their files, decoded as the chain's own codec does it."""

    pages: Sequence[Path]
    settings: Settings

    def __len__(self) -> int:
        return len(self.pages)

    def __getitem__(self, index: int) -> tuple[str, tuple[int, int], NDArray[np.int32]]:
        path = self.pages[index]
        image = decode_image(path.read_bytes(), self.settings)
        return path.name, image.size, np.frombuffer(image.tobytes("raw", "RGBX"), dtype=np.int32)


def make_loader(pages: Sequence[Path], batch: int, *, workers: bool) -> DataLoader[Any]:
    """Decoded pages in batches, in their order, as often as it is iterated; its processes live on between the times.

    Args:
        pages: files.
        batch: pages a batch.
        workers: whether processes read ahead, one for every two cores, into pinned memory where there is CUDA.
    """
    processes = min(max(1, len(os.sched_getaffinity(0)) // 2), -(-len(pages) // batch)) if workers else 0
    return DataLoader(
        PageImages(pages, Settings()),
        batch_size=batch,
        num_workers=processes,
        collate_fn=_collate,
        pin_memory=workers and torch.cuda.is_available(),
        persistent_workers=processes > 0,
    )


def _collate(pages: list[tuple[str, tuple[int, int], NDArray[np.int32]]]) -> DecodedBatch:
    """Pages end to end."""
    names, sizes, pixels = zip(*pages, strict=True)
    return DecodedBatch(list(names), torch.tensor(sizes), torch.from_numpy(np.concatenate(pixels)))
