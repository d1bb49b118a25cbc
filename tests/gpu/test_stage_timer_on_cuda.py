"""What the stages take on a CUDA device, by events that nobody waits for. Skips, saying so, where there is none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings

from tests.conftest import draw_page, encode

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
PAGES = [encode(draw_page([f"Page {number}", "Total 1,249.50 EUR"])) for number in range(8)]


@pytest.fixture(scope="module")
def on_cuda(model_store: Path) -> PageChain:
    chain = PageChain(Settings(device="cuda"), model_store)
    chain.warm_up()
    return chain


def test_the_stages_add_up_to_about_the_time_of_a_batch(on_cuda: PageChain) -> None:
    on_cuda(PAGES)
    on_cuda.take_stage_seconds()
    begin = time.perf_counter()
    on_cuda(PAGES)
    seconds = time.perf_counter() - begin
    taken = on_cuda.take_stage_seconds()
    assert len(taken) == 7
    assert all(stage_s >= 0 for stage_s in taken.values())
    assert 0.5 * seconds < sum(taken.values()) < 1.5 * seconds


def test_the_device_tells_its_memory(on_cuda: PageChain) -> None:
    memory = on_cuda.engine.memory_bytes()
    assert 0 < memory["allocated"] <= memory["reserved"] <= memory["used"] <= memory["total"]
