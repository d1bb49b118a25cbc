"""Row e, the floor: the five networks alone, on the very tensors the chain gives them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.networks import (
    MODEL_STORE,
    STAGES,
    Call,
    PageChain,
    Settings,
    recorded_calls,
    run_calls,
    synchronise,
)


def make() -> Floor:
    """The reader of this row."""
    return Floor()


class Floor:
    """Records every network call of one run over the pages, then repeats the calls and nothing else."""

    def __init__(self) -> None:
        self._calls: list[Call] = []

    def warm_up(self, pages: Sequence[Path]) -> str:
        """Read all pages once, in batches of 64, and keep what the networks were given."""
        bodies = [page.read_bytes() for page in pages]
        with recorded_calls() as calls:
            self._chain = PageChain(Settings(), MODEL_STORE)
            for first in range(0, len(bodies), 64):
                self._chain(bodies[first : first + 64])
        self._calls = list(calls)
        held = sum(batch.nbytes for _, _, batch in self._calls) / 1e6
        return f"{len(self._calls)} calls; memory includes {held:.0f} MB of recorded inputs"

    @torch.inference_mode()
    def read(self, pages: Sequence[Path], output: Path) -> dict[str, Any]:
        """Run the recorded calls, stage after stage."""
        spent = {}
        for stage in STAGES:
            begin = time.perf_counter()
            run_calls(self._chain, [call for call in self._calls if call[0] == stage])
            synchronise()
            spent[stage] = 1000 * (time.perf_counter() - begin) / len(pages)
        return {"stage_ms_per_page": spent}
