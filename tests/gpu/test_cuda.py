"""The chain on a CUDA device: what the CPU tests cannot show. Skips, saying so, where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quintet.chain import PageChain
from quintet.errors import Failure
from quintet.settings import Settings

from tests.conftest import draw_page, encode

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

PAGES = [
    encode(draw_page([f"Page {number}", "Total 1,249.50 EUR", "Thank you for your visit"], turn_deg=90 * (number % 4)))
    for number in range(8)
]


@pytest.fixture(scope="module")
def on_cuda(model_store: Path) -> PageChain:
    return PageChain(Settings(device="cuda"), model_store)


def results(outcomes: list[dict[str, Any] | Failure]) -> list[dict[str, Any]]:
    assert not any(isinstance(outcome, Failure) for outcome in outcomes)
    return [outcome for outcome in outcomes if not isinstance(outcome, Failure)]


def test_half_precision_on_cuda_reads_what_single_precision_reads_on_the_cpu(
    on_cuda: PageChain, model_store: Path
) -> None:
    assert on_cuda.engine.device.type == "cuda"
    assert on_cuda.engine.dtype is torch.float16
    on_cpu = PageChain(Settings(device="cpu"), model_store)
    for ours, theirs in zip(results(on_cuda(PAGES)), results(on_cpu(PAGES)), strict=True):
        assert ours["text"] == theirs["text"]
        for line, other in zip(ours["lines"], theirs["lines"], strict=True):
            assert np.abs(np.subtract(line["quad_px"], other["quad_px"])).max() <= 3


def test_waits_for_the_device_do_not_grow_with_the_batch(on_cuda: PageChain) -> None:
    """CUDA's own account of synchronising calls, as warnings."""

    def waits(batch: list[bytes]) -> int:
        on_cuda(batch)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with pytest.warns(UserWarning, match="synchroniz") as warned:
                on_cuda(batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return len(warned)

    assert waits(PAGES[:1] * 2) == waits(PAGES[:1] * 8)


def test_results_cross_in_three_copies(on_cuda: PageChain) -> None:
    before = on_cuda.engine.host_copies
    on_cuda(PAGES)
    assert on_cuda.engine.host_copies - before == 3
