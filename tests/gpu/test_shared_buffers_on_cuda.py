"""Pages through shared memory on a CUDA device: page-locked, copied, read. Skips, saying so, where there is none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from quintet.frame.frames import BufferSlice
from quintet.frame.settings import FrameSettings
from quintet.frame.shared_memory.buffers import SharedBuffers
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings
from quintet.pixels.images import decode_image
from quintet.pixels.raw_pictures import bytes_needed, write_raw
from quintet_client.shared_memory.buffer import SharedBuffer

from tests.conftest import draw_page, encode

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

NAME = bytes(range(16))
STEP = 4 << 20
PAGES = [encode(draw_page([f"Page {number}", "Total 1,249.50 EUR"]), "PNG") for number in range(4)]


def wait_until(condition) -> None:
    ends_at = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends_at, "waited in vain"
        time.sleep(0.01)


def maps() -> list[str]:
    return Path("/proc/self/maps").read_text().splitlines()


def test_a_buffer_is_page_locked_its_pages_are_read_and_it_is_let_go(model_store: Path, tmp_path: Path) -> None:
    """Fails where CUDA does not page-lock memory that is mapped read only: copies work then too, but wait."""
    chain = PageChain(Settings(device="cuda"), model_store)
    buffers = SharedBuffers(FrameSettings(shared_memory=True), chain.engine)
    buffers.listen(tmp_path / "rings")
    buffer = SharedBuffer(len(PAGES) * STEP)
    assert buffer.attach(tmp_path / "rings", NAME) == 1
    slices = []
    for number, page in enumerate(PAGES):
        image = decode_image(page, Settings())
        slices.append(BufferSlice(NAME, number * STEP, bytes_needed(image.size)))
        write_raw(image, len(page), buffer.view[number * STEP : number * STEP + slices[-1].length])
    wait_until(lambda: buffers._held[NAME].pinned)
    with buffers.reading():
        raw = [buffers.find(part) for part in slices]
        assert chain(raw) == chain(PAGES)
        del raw
    buffer.close()
    wait_until(lambda: not any(" r--s " in line and "quintet-buffer" in line for line in maps()))
