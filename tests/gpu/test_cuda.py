"""The chain on a CUDA device: what the CPU tests cannot show. Skips, saying so, where there is none."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quintet.engine.calls import QUARTERS
from quintet.engine.cuda_graphs import Recorder
from quintet.engine.few_shapes import FewShapes
from quintet.errors import Failure
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings
from quintet.pixels.decoder import Decoder
from quintet.pixels.device_jpeg import DevicePicture
from quintet.pixels.images import decode_image

from benchmarks.bench_gpu.accuracy import compare
from benchmarks.bench_gpu.pages import draw_plain_pages
from tests.conftest import draw_page, encode

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

DRAWN = [
    draw_page([f"Page {number}", "Total 1,249.50 EUR", "Thank you for your visit"], turn_deg=90 * (number % 4))
    for number in range(8)
]
PAGES = [encode(page) for page in DRAWN]
JPEGS = [encode(page, "JPEG", quality=90, progressive=number % 3 == 2) for number, page in enumerate(DRAWN)]


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


VARIANTS = {
    "as it comes": Settings(device="cuda"),
    "JPEG on the host": Settings(device="cuda", jpeg="host"),
    "JPEG on the device": Settings(device="cuda", jpeg="device"),
    "captured launches": Settings(device="cuda", graphs="captured"),
}


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest, model_store: Path) -> PageChain:
    chain = PageChain(VARIANTS[request.param], model_store)
    chain.warm_up()
    return chain


def test_waits_for_the_device_do_not_grow_with_the_batch(variant: PageChain) -> None:
    """CUDA's own account of synchronising calls, as warnings."""

    def waits(batch: list[bytes]) -> int:
        variant(batch)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with pytest.warns(UserWarning, match="synchroniz") as warned:
                variant(batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return len(warned)

    assert waits(JPEGS[:1] * 2) == waits(JPEGS[:1] * 8)


def test_results_cross_in_three_copies_and_jpegs_cost_at_most_one_wait(variant: PageChain) -> None:
    copies, waits = variant.engine.host_copies, variant.engine.waits
    variant(JPEGS)
    assert variant.engine.host_copies - copies == 3
    assert variant.engine.waits - waits <= 1


def test_every_variant_reads_what_the_host_and_eager_launches_read(variant: PageChain, model_store: Path) -> None:
    plain = PageChain(Settings(device="cuda", jpeg="host", graphs="eager"), model_store)
    for _ in range(3):
        for ours, theirs in zip(results(variant(JPEGS)), results(plain(JPEGS)), strict=True):
            assert ours["text"] == theirs["text"]


def test_pixels_decoded_on_the_device_are_close_to_pillows(model_store: Path) -> None:
    chain = PageChain(Settings(device="cuda", jpeg="device"), model_store)
    decode = Decoder(chain.engine, Settings(device="cuda", jpeg="device"))
    pictures = decode(decode.open(JPEGS))
    assert [isinstance(picture, DevicePicture) for picture in pictures] == [number % 3 != 2 for number in range(8)]
    for picture, body in zip(pictures, JPEGS, strict=True):
        if not isinstance(picture, DevicePicture):
            continue
        expected = np.asarray(decode_image(body, Settings()), float)
        assert np.abs(picture.planes.permute(1, 2, 0).cpu().numpy() - expected).mean() < 1


def test_decoding_leaves_memory_alone_that_queued_work_still_reads(model_store: Path) -> None:
    """pytorch/vision issue 9606: the decoder's stream does not wait for ours; `Engine.settle` does."""
    chain = PageChain(Settings(device="cuda", jpeg="device"), model_store)
    decode = Decoder(chain.engine, Settings(device="cuda", jpeg="device"))
    opened = decode.open(JPEGS)
    for _ in range(20):
        victims = [torch.full((3, 1000, 800), 1.0, device="cuda") for _ in range(8)]
        torch.cuda.synchronize()
        torch.cuda._sleep(50_000_000)
        sums = [victim.sum() for victim in victims]
        del victims
        decode(opened)
        assert all(float(one) == 3 * 1000 * 800 for one in sums)


def test_the_next_batch_is_not_decoded_into_memory_that_is_still_being_copied(model_store: Path) -> None:
    settings = Settings(device="cuda", jpeg="host")
    chain = PageChain(settings, model_store)
    decode = Decoder(chain.engine, settings)
    memories, sums = set(), []
    for bodies in [PAGES, PAGES[::-1]] * 5:
        pictures = decode(decode.open(bodies))
        memories |= {id(picture.memory) for picture in pictures}
        torch.cuda._sleep(500_000_000)  # the copy is queued behind it
        images = decode.to_images(pictures)
        sums.append(images.pixels.values[: math.prod(pictures[0].size_px)].sum())
    assert len(memories) == 1
    assert len({float(one) for one in sums[::2]}) == len({float(one) for one in sums[1::2]}) == 1


def test_outputs_of_a_replay_survive_the_next_ones(model_store: Path) -> None:
    engine = PageChain(Settings(device="cuda", graphs="captured"), model_store).engine
    network = engine.network("line_orientation")
    blank = torch.empty(0, dtype=engine.dtype, device=engine.device)
    run = FewShapes(network, {(3, 48, 192): 4}, QUARTERS, blank, Recorder(engine.device, engine.dtype))
    batches = [torch.rand(count, 3, 48, 192, device="cuda").half() for count in (3, 4, 4, 3, 2, 4, 1)]
    with torch.inference_mode():
        eagerly = [network(batch)[0].clone() for batch in batches]
    run.prepare(time.monotonic() + 60)
    for ours, theirs in zip([run(batch)[0] for batch in batches], eagerly, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("graphs", ["eager", "captured"])
def test_the_warm_up_has_time_for_every_usual_shape(graphs: str, model_store: Path) -> None:
    chain = PageChain(Settings(device="cuda", graphs=graphs), model_store)
    chain.warm_up()
    assert chain.engine.prepare(0.0) == (0, 0)


def test_single_precision_multiplies_in_single_precision(model_store: Path) -> None:
    engine = PageChain(Settings(device="cuda", dtype="float32"), model_store).engine
    generator = torch.Generator("cuda").manual_seed(3)
    batch, weight = (
        torch.rand(*shape, device="cuda", generator=generator) for shape in ((8, 64, 32, 32), (64, 64, 3, 3))
    )
    ours, exact = torch.conv2d(batch, weight), torch.conv2d(batch.double(), weight.double())
    assert engine.dtype == torch.float32
    assert ((ours - exact) / exact).abs().max() < 1e-5, "TF32 would be off by 1e-4 and more"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_passes_the_accuracy_gate(
    dtype: str, model_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = draw_plain_pages(8, tmp_path)
    names = [page.name for page in pages.pages]
    bodies = [page.read_bytes() for page in pages.pages]

    def read(dtype: str) -> dict[str, dict[str, Any]]:
        chain = PageChain(Settings(device="cuda", dtype=dtype), model_store)
        return dict(zip(names, results(chain(bodies)), strict=True))

    agreement = compare(read("float32"), read(dtype), pages.truth)
    with capsys.disabled():
        sys.stdout.write(f"\n{dtype} beside float32: {agreement}\n")
    assert agreement.passes
