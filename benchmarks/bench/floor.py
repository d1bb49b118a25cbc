"""Row e, the floor: the five networks alone, on the very tensors the chain gives them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.bench.networks import MODEL_STORE, STAGES, Network, PageChain, Settings, recorded_calls, synchronise


class Floor:
    """Records every network call of one run over the pages, then repeats the calls and nothing else."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, Network, torch.Tensor]] = []

    def warm_up(self, pages: Sequence[Path]) -> str:
        """Read all pages once, in batches of 64, and keep what the networks were given."""
        bodies = [page.read_bytes() for page in pages]
        with recorded_calls() as calls:
            chain = PageChain(Settings(), MODEL_STORE)
            for first in range(0, len(bodies), 64):
                chain(bodies[first : first + 64])
        self._calls = list(calls)
        held = sum(batch.nbytes for _, _, batch in self._calls) / 1e6
        return f"{len(self._calls)} calls; memory includes {held:.0f} MB of recorded inputs"

    @torch.inference_mode()
    def read(self, pages: Sequence[Path], output: Path) -> dict[str, Any]:  # noqa: ARG002 - it reads nothing
        """Run the recorded calls."""
        seconds: Counter[str] = Counter()
        for stage, network, batch in self._calls:
            begin = time.perf_counter()
            network(batch)
            synchronise()
            seconds[stage] += time.perf_counter() - begin  # type: ignore[assignment]
        return {"stage_ms_per_page": {stage: 1000 * seconds[stage] / len(pages) for stage in STAGES}}
