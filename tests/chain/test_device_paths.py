"""What is made for a GPU, run on the CPU with the real networks: JPEGs on the device, captured launches, warm-up."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from quintet.engine.calls import QUARTERS
from quintet.engine.cuda_graphs import Recorder
from quintet.engine.few_shapes import FewShapes
from quintet.errors import Failure, SettingsError
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings
from quintet.pixels.decoder import Decoder
from quintet.pixels.device_jpeg import DevicePicture

from benchmarks.bench_gpu.accuracy import MOST_F1_LOST, compare
from benchmarks.sample_pages.generate import main as generate
from tests.chain.test_chain import assert_same_reading, results
from tests.conftest import draw_page, encode

LINES = ["Quintet reads pages", "Total 1,249.50 EUR", "Ltd."]
BODIES = [
    encode(draw_page(LINES, (640, 420)), "JPEG", quality=90),
    encode(draw_page(LINES[::-1], (640, 420), turn_deg=90), "JPEG", progressive=True),
    encode(draw_page(LINES[:1], (500, 300)).convert("L"), "JPEG"),
    encode(draw_page(LINES[1:], (500, 300))),
]


@pytest.fixture(scope="module")
def capturing(model_store: Path) -> PageChain:
    return PageChain(Settings(device="cpu", engine="torch", graphs="captured"), model_store)


@pytest.fixture(scope="module")
def on_device(model_store: Path) -> PageChain:
    return PageChain(Settings(device="cpu", jpeg="device"), model_store)


def test_jpegs_decoded_on_the_device_read_like_those_of_the_host(chain: PageChain, on_device: PageChain) -> None:
    decoder = Decoder(on_device.engine, Settings(device="cpu", jpeg="device"))
    decoded = decoder(decoder.open(BODIES))
    assert [isinstance(picture, DevicePicture) for picture in decoded] == [True, False, True, False]
    before = on_device.engine.host_copies
    read = results(on_device(BODIES))
    assert on_device.engine.host_copies - before == 4
    for ours, theirs in zip(read, results(chain(BODIES)), strict=True):
        assert_same_reading(ours, theirs)


def test_a_bad_jpeg_leaves_its_neighbours_unchanged_where_the_device_decodes(on_device: PageChain) -> None:
    cut = BODIES[0][:400] + b"\xff\xd9"
    first, bad, last = on_device([BODIES[0], cut, BODIES[2]])
    assert isinstance(bad, Failure) or bad["text"] == ""
    for outcome, body in ((first, BODIES[0]), (last, BODIES[2])):
        (alone,) = results(on_device([body]))
        assert isinstance(outcome, dict)
        assert_same_reading(outcome, alone)


@pytest.mark.slow
def test_filled_and_captured_calls_read_what_a_cpus_own_calls_read_and_nothing_is_recorded_while_serving(
    capturing: PageChain, model_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, record = [], Recorder.record

    def noting(recorder: Recorder, work: Any, shape: tuple[int, ...]) -> Any:
        recorded.append(shape)
        return record(recorder, work, shape)

    monkeypatch.setattr(Recorder, "record", noting)
    bodies = BODIES[1:3]
    own = results(PageChain(Settings(device="cpu", engine="torch"), model_store)(bodies))
    for within_s in (0.0, 10.0):  # filled up, then those replayed that there was time for
        capturing.engine.prepare(within_s)
        begun = len(recorded)
        for ours, theirs in zip(results(capturing(bodies)), own, strict=True):
            assert_same_reading(ours, theirs)
        assert len(recorded) == begun
    assert {(224, 224), (800, 608)} <= {shape[2:] for shape in recorded}
    assert {shape[2] for shape in recorded} <= {224, 800, 48}, "text detection is not recorded"


@pytest.mark.parametrize(
    ("stage", "item", "recorded"),
    [
        ("page_orientation", (3, 224, 224), False),
        ("layout", (3, 800, 608), False),
        ("text_detection", (3, 160, 224), False),
        ("line_orientation", (3, 48, 192), False),
        ("line_orientation", (3, 48, 192), True),
        ("recognition", (3, 48, 160), False),
    ],
)
def test_rows_that_fill_a_call_up_do_not_change_the_others(
    capturing: PageChain, stage: str, item: tuple[int, int, int], recorded: bool
) -> None:
    """The real networks, the memory of the recording full of something else."""
    engine = capturing.engine
    network, recorder = engine.network(stage), Recorder(engine.device, engine.dtype) if recorded else None
    run = FewShapes(network, {item: 3}, QUARTERS, torch.empty(0), recorder)
    assert run.prepare(math.inf) == (2, 0)
    run(torch.rand(3, *item) * 9)
    batch = torch.rand(2, *item)
    with torch.inference_mode():
        # In as many rows, so that the library takes the same kernels: what other rows hold is all that differs.
        expected = network(torch.cat([batch, batch[:1]]))
    for ours, theirs in zip(run(batch), expected, strict=True):
        torch.testing.assert_close(ours, theirs[:2], rtol=0, atol=0)


def test_captured_launches_are_refused_where_the_engine_has_none(model_store: Path) -> None:
    with pytest.raises(SettingsError, match="graphs"):
        PageChain(Settings(device="cpu", engine="openvino", graphs="captured"), model_store)


@pytest.mark.slow
def test_a_chain_reads_after_its_warm_up_what_it_read_before(chain: PageChain) -> None:
    before = results(chain(BODIES))
    chain.warm_up()
    for ours, theirs in zip(results(chain(BODIES)), before, strict=True):
        assert_same_reading(ours, theirs)


@pytest.mark.slow
def test_bfloat16_passes_the_accuracy_gate_against_single_precision(
    model_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate([str(tmp_path), "--pages", "3", "--seed", "12", "--scale", "0.7"])
    names = sorted(json.loads((tmp_path / "truth.json").read_text("utf-8")))
    bodies = [(tmp_path / name).read_bytes() for name in names]

    def read(dtype: str) -> dict[str, dict[str, Any]]:
        chain = PageChain(Settings(device="cpu", engine="torch", dtype=dtype), model_store)
        return dict(zip(names, results(chain(bodies)), strict=True))

    agreement = compare(read("float32"), read("bfloat16"), tmp_path / "truth.json")
    with capsys.disabled():
        sys.stdout.write(f"\nbfloat16 beside float32: {agreement}\n")
    assert agreement.lines > 30
    assert agreement.passes, f"more than {MOST_F1_LOST} of word F1 lost"
