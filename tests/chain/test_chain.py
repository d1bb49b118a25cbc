"""Properties of the whole chain, with the five real networks."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from quintet.authoring.checks.waits import CountWaits
from quintet.errors import Code, Failure
from quintet.frame.chain import Chain
from quintet.pages.budgets import Budgets
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings
from quintet.pixels.decoder import Decoder

from benchmarks.sample_pages.generate import draw_page as draw_sample
from benchmarks.sample_pages.generate import main as generate
from benchmarks.sample_pages.plan import plan_pages
from benchmarks.sample_pages.records import Damage
from benchmarks.score import load_truth, read_answer, score_run
from tests.conftest import draw_page, encode, receipt_folder

LINES = ["Quintet reads pages", "Invoice 2024-0117", "Total 1,249.50 EUR", "Thank you for your visit"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four generated pages of different sizes and turns, and their truth."""
    folder = tmp_path_factory.mktemp("pages")
    generate([str(folder), "--pages", "4", "--seed", "11", "--scale", "0.6"])
    return folder


@pytest.fixture(scope="module")
def bodies(samples: Path) -> list[bytes]:
    """These, and a blank one."""
    pages = [path.read_bytes() for path in sorted(samples.glob("page-*"))]
    return [*pages, encode(Image.new("RGB", (500, 700), "white"))]


@pytest.fixture(scope="module")
def together(chain: PageChain, bodies: list[bytes]) -> list[dict[str, Any]]:
    """What the chain says of all of them in one batch."""
    return results(chain(bodies))


def results(outcomes: list[dict[str, Any] | Failure]) -> list[dict[str, Any]]:
    assert not any(isinstance(outcome, Failure) for outcome in outcomes)
    return [outcome for outcome in outcomes if not isinstance(outcome, Failure)]


def turned(body: bytes, clockwise_deg: int) -> bytes:
    return encode(Image.open(io.BytesIO(body)).rotate(-clockwise_deg, expand=True), "JPEG", quality=92)


# Where operators and copies are counted, what a page says is no matter.
SMALL = [encode(draw_page([f"Total {number}"], (320 + 32 * number, 160))) for number in range(2)]


def assert_same_reading(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The same text, orientation, regions and words, and quads to one pixel."""
    assert ours["text"] == theirs["text"]
    assert ours["orientation"]["angle_deg"] == theirs["orientation"]["angle_deg"]
    assert [region["label"] for region in ours["regions"]] == [region["label"] for region in theirs["regions"]]
    for line, other in zip(ours["lines"], theirs["lines"], strict=True):
        assert np.abs(np.subtract(line["quad_px"], other["quad_px"])).max() <= 1
        assert line["score"] == pytest.approx(other["score"], abs=0.01)
        for word, same in zip(line.get("words", []), other.get("words", []), strict=True):
            assert word["text"] == same["text"]
            assert np.abs(np.subtract(word["quad_px"], same["quad_px"])).max() <= 1
            assert word["score"] == pytest.approx(same["score"], abs=0.02)


def test_the_page_chain_is_what_the_frame_hosts(chain: PageChain) -> None:
    assert isinstance(chain, Chain)  # by the names it has; `benchmarks.networks` holds their types against it


def test_a_batch_equals_its_pages_one_at_a_time(
    chain: PageChain, bodies: list[bytes], together: list[dict[str, Any]]
) -> None:
    assert sum(len(result["lines"]) for result in together) > 100
    for body, result in zip(bodies, together, strict=True):
        (alone,) = results(chain([body]))
        assert_same_reading(alone, result)


def test_the_order_of_pages_does_not_matter(
    chain: PageChain, bodies: list[bytes], together: list[dict[str, Any]]
) -> None:
    for result, reversed_result in zip(together, reversed(results(chain(bodies[::-1]))), strict=True):
        assert_same_reading(result, reversed_result)


@pytest.mark.slow
def test_small_budgets_cut_the_batch_and_change_nothing(
    model_store: Path, bodies: list[bytes], together: list[dict[str, Any]]
) -> None:
    tight = Settings(batch_pixels=1 << 20, detection_call_pixels=1 << 16, line_call_columns=320, page_calls=2)
    for result, other in zip(together, results(PageChain(tight, model_store)(bodies)), strict=True):
        assert_same_reading(result, other)


@pytest.mark.parametrize("turn_deg", [0, 90, 180, 270])
def test_a_turned_page_gives_the_same_text_where_it_lies_in_the_image(chain: PageChain, turn_deg: int) -> None:
    page = draw_page(LINES, turn_deg=turn_deg)
    (result,) = results(chain([encode(page)]))
    assert result["orientation"]["angle_deg"] == turn_deg
    assert result["text"].split("\n") == LINES
    assert (result["width_px"], result["height_px"]) == page.size
    ink = np.asarray(page.convert("L")) < 128
    for line in result["lines"]:
        quad = np.array(line["quad_px"])
        left, top = np.floor(quad.min(axis=0)).astype(int)
        right, bottom = np.ceil(quad.max(axis=0)).astype(int)
        assert ink[top:bottom, left:right].any()
    starts = np.array([line["quad_px"][0] for line in result["lines"]])
    corner = {0: (0, 0), 90: (800 * 1.25, 0), 180: (800, 1000), 270: (0, 800)}[turn_deg]
    ends = np.array([line["quad_px"][1] for line in result["lines"]])
    assert (np.abs(starts - corner).sum(axis=1) < np.abs(ends - corner).sum(axis=1)).all()


def test_one_bad_page_leaves_its_neighbours_unchanged(
    chain: PageChain, bodies: list[bytes], together: list[dict[str, Any]]
) -> None:
    bad = {
        b"": Code.EMPTY_BODY,
        b"\xff\xd8\xff garbage": Code.IMAGE_DECODE_FAILED,
        b"plain text": Code.UNSUPPORTED_FORMAT,
        encode(Image.new("RGB", (1, 1))): Code.IMAGE_TOO_SMALL,
    }
    outcomes = chain([bodies[0], *bad, bodies[1]])
    assert [outcome.code for outcome in outcomes if isinstance(outcome, Failure)] == list(bad.values())
    first, last = outcomes[0], outcomes[-1]
    assert isinstance(first, dict)
    assert isinstance(last, dict)
    assert_same_reading(first, together[0])
    assert_same_reading(last, together[1])


def test_a_blank_page_is_a_result_without_lines(together: list[dict[str, Any]]) -> None:
    assert together[-1]["lines"] == []
    assert together[-1]["text"] == ""


def test_batches_without_a_page_or_a_line_are_fine(chain: PageChain) -> None:
    assert chain([]) == []
    assert isinstance(chain([b""])[0], Failure)
    assert results(chain([encode(Image.new("RGB", (64, 64), "white"))]))[0]["lines"] == []


def test_upside_down_lines_on_an_upright_page_are_read_from_their_own_top_left(chain: PageChain) -> None:
    page = draw_page(LINES * 2, (800, 700))
    strip = page.crop((40, 340, 760, 400)).rotate(180)
    page.paste(strip, (40, 340))
    (result,) = results(chain([encode(page)]))
    turned = [line for line in result["lines"] if line["quad_px"][0][0] > line["quad_px"][1][0]]
    assert [line["text"] for line in turned] == [LINES[0]]
    (words,) = [[(word["text"], word["quad_px"][0][0]) for word in line["words"]] for line in turned]
    assert [text for text, _ in sorted(words, key=lambda word: -word[1])] == LINES[0].split()


def test_words_stand_where_they_are(samples: Path, together: list[dict[str, Any]]) -> None:
    """Of words as high as their lines; tests/unit/pages/test_words.py has what holds whatever is read."""
    truth = load_truth(samples / "truth.json")
    found = score_run(truth, {name: read_answer(page) for name, page in zip(sorted(truth), together, strict=False)})
    assert len(found.word_ious) > 200
    assert np.mean(np.array(found.word_ious) >= 0.5) >= 0.92
    assert np.mean(found.word_ious) >= 0.7


def test_a_photo_that_page_orientation_turns_wrongly_is_turned_and_read_as_its_text_runs(
    chain: PageChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boards in perspective; page orientation sees five of these eight pictures turned otherwise."""
    plans = plan_pages(24, 11, ["snapshot"])
    pictures = [draw_sample(replace(plans[number], damage=Damage()))[0] for number in (0, 23)]
    turns = [90 * turn for _ in pictures for turn in range(4)]
    bodies = [turned(picture, turn) for picture in pictures for turn in range(0, 360, 90)]
    first = chain._read
    passes: list[list[dict[str, Any]]] = []
    monkeypatch.setattr(chain, "_read", lambda *given: passes.append(first(*given)) or [*passes[-1]])
    read = results(chain(bodies))
    assert [page["orientation"]["angle_deg"] for page in read] == turns
    assert len({page["text"] for page in read}) == len(pictures)
    wrong = [page for page, turn in zip(passes[0], turns, strict=True) if page["orientation"]["angle_deg"] != turn]
    assert [len(some) for some in passes] == [8, len(wrong)]
    assert len(wrong) >= 3
    assert {page["orientation"]["text_score"] for page in read} == {1.0}
    assert results(chain(bodies[:1])) == read[:1]


@pytest.mark.slow
def test_the_pytorch_engine_reads_what_openvino_reads_in_the_same_number_format(
    model_store: Path, bodies: list[bytes]
) -> None:
    in_torch = PageChain(Settings(engine="torch", device="cpu"), model_store)
    in_openvino = PageChain(Settings(engine="openvino", device="cpu", dtype="float32"), model_store)
    assert (in_torch.engine.name, in_openvino.engine.name) == ("torch", "openvino")
    for result, other in zip(results(in_openvino(bodies[:2])), results(in_torch(bodies[:2])), strict=True):
        assert_same_reading(result, other)


def test_copies_to_the_host_do_not_grow_with_the_batch(chain: PageChain) -> None:
    def copies(batch: list[bytes]) -> int:
        before = chain.engine.host_copies
        chain(batch)
        return chain.engine.host_copies - before

    assert copies(SMALL[:1]) == copies(SMALL) == copies(SMALL * 2) == 4


@pytest.fixture(scope="module")
def like_cuda(model_store: Path) -> Iterator[PageChain]:
    """A chain on the CPU whose calls are as large as on CUDA and run in turn, in the thread that asks."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("quintet.pages.budgets.CPU_BUDGETS", Budgets(*[sys.maxsize] * 4))
        chain = PageChain(Settings(device="cpu"), model_store)
        monkeypatch.setattr(chain.engine, "each", lambda work, calls: [work(call) for call in calls])
        yield chain


@pytest.mark.slow
def test_calls_as_large_as_on_cuda_change_nothing(
    like_cuda: PageChain, bodies: list[bytes], together: list[dict[str, Any]]
) -> None:
    for result, other in zip(results(like_cuda(bodies)), together, strict=True):
        assert_same_reading(result, other)


def test_operators_that_wait_for_the_device_do_not_grow_with_the_batch(like_cuda: PageChain) -> None:
    """Pages of one size, since calls are planned by size on the host, where counting costs no wait."""

    def waits(batch: list[bytes]) -> Counter[str]:
        with CountWaits() as mode:
            like_cuda(batch)
        return mode.waits

    assert waits(SMALL[:1]) == waits(SMALL[:1] * 4)


def test_real_receipts_are_read(chain: PageChain) -> None:
    """As many as every change can wait for; tests/chain/test_peers.py reads all of them."""
    folder = receipt_folder()
    names = [path.name for path in sorted(folder.glob("*.jpg"))[:3]]
    truth = {name: page for name, page in load_truth(folder / "truth.json").items() if name in names}
    read = results(chain([(folder / name).read_bytes() for name in names]))
    found = score_run(truth, {name: read_answer(page) for name, page in zip(names, read, strict=True)})
    assert found.f1 >= 0.9


def test_a_page_of_noise_is_survived(chain: PageChain) -> None:
    noise = Image.effect_noise((700, 900), 90).convert("RGB")
    assert "text" in results(chain([encode(noise, "JPEG")]))[0]


def test_results_are_plain_json_values(together: list[dict[str, Any]]) -> None:
    assert json.loads(json.dumps(together)) == together


def test_half_precision_is_refused_where_the_engine_has_none(model_store: Path) -> None:
    with pytest.raises(ValueError, match="dtype"):
        PageChain(Settings(dtype="float16", engine="openvino", device="cpu"), model_store)


def test_the_pages_of_the_batch_live_on_the_engines_device(chain: PageChain) -> None:
    decoder = Decoder(chain.engine, Settings())
    pages = decoder.to_images(decoder(decoder.open([encode(draw_page(LINES))])))
    assert pages.pixels.values.device == chain.engine.device
    assert pages.pixels.values.dtype == torch.int32
    assert pages.sizes_px.tolist() == [[800, 1000]]
