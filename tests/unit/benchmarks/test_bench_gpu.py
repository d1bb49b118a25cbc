"""The GPU benchmark's own parts: the accuracy gate, its budget of time, its options and its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench_gpu import command, peer, tables, variants
from benchmarks.bench_gpu.accuracy import MOST_F1_LOST, compare
from benchmarks.bench_gpu.in_process import Throughput
from benchmarks.bench_gpu.options import Options, parse
from benchmarks.bench_gpu.pages import draw_plain_pages
from benchmarks.bench_gpu.variants import BASE, REFERENCE, VARIANTS, Variant, VariantFigures

PAGE = {"lines": [], "orientation": {"angle_deg": 0}}
WORDS = [f"word{number}" for number in range(1000)]


def truth_of(folder: Path, texts: list[str]) -> Path:
    quad = [[0, 0], [9, 0], [9, 9], [0, 9]]
    path = folder / "truth.json"
    path.write_text(json.dumps({"a.jpg": [{"text": text, "quad": quad} for text in texts]}), encoding="utf-8")
    return path


def result(texts: list[str]) -> dict[str, dict[str, Any]]:
    return {"a.jpg": {"lines": [{"text": text} for text in texts]}}


@pytest.mark.parametrize(("wrong", "passes"), [(0, True), (1, True), (3, False)])
def test_the_gate_lets_one_word_in_five_hundred_go(tmp_path: Path, wrong: int, passes: bool) -> None:
    read = WORDS[wrong:] + ["misread"] * wrong
    agreement = compare(result(WORDS), result(read), truth_of(tmp_path, WORDS))
    assert agreement.passes is passes
    assert (agreement.lines, agreement.identical) == (1000, 1000 - wrong)
    assert agreement.reference_f1 - agreement.f1 == pytest.approx(wrong / 1000)


def test_reading_more_than_single_precision_does_is_no_loss(tmp_path: Path) -> None:
    agreement = compare(result(WORDS[:900]), result(WORDS), truth_of(tmp_path, WORDS))
    assert agreement.f1 > agreement.reference_f1 + MOST_F1_LOST
    assert agreement.passes
    assert agreement.identical_share == 1.0


def test_a_page_that_was_not_read_fails_the_gate(tmp_path: Path) -> None:
    agreement = compare(result(WORDS), {}, truth_of(tmp_path, WORDS))
    assert agreement.f1 == 0.0
    assert not agreement.passes


def test_single_precision_is_read_before_what_is_held_against_it() -> None:
    keys = [variant.key for variant in VARIANTS]
    assert VARIANTS[:2] == (BASE, REFERENCE)
    assert len(set(keys)) == len(keys)
    values = {key: {variant.settings.get(key) for variant in VARIANTS} for key in ("jpeg", "graphs", "dtype")}
    assert values["jpeg"] == {None, "device"}
    assert values["graphs"] == {None, "captured"}
    assert values["dtype"] == {None, "float32", "bfloat16"}


def test_on_the_cpu_everything_is_small_unless_told_otherwise() -> None:
    options = parse(["--device", "cpu", "--pages", "4"])
    assert (options.batches, options.repeats, options.latency_requests, options.served_pages) == ((1, 4), 1, 4, 4)
    assert parse(["--device", "cpu", "--repeats", "5", "--served-pages", "0"]).repeats == 5
    assert parse([]).batches == (1, 8, 16, 32, 64)


def run_without_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> dict[str, Any]:
    """The JSON of a run whose variants take no time, and in which nothing else can run."""

    def measured(_options: Options, variant: Variant, names: list[str], _bodies: list[bytes]) -> VariantFigures:
        throughput = Throughput(1, (2.0,), None, None, 0)
        return VariantFigures(variant, "float32", 0.1, throughput, {"p50": 1.0, "p95": 2.0}, {names[0]: PAGE})

    def missing(*_arguments: object) -> None:
        raise ImportError("No module named 'rapidocr'")

    monkeypatch.setattr(variants, "measure", measured)
    monkeypatch.setattr(variants, "open_chain", missing)
    monkeypatch.setattr(peer, "pages_per_s", missing)
    draw_plain_pages(1, tmp_path / "pages")
    given = ["--device", "cpu", "--pages", "1", "--samples", str(tmp_path / "pages"), "--served-pages", "0"]
    assert command.run(parse([*given, "--output", str(tmp_path / "report.json"), *options])) == 0
    return json.loads((tmp_path / "report.json").read_text())


def test_what_comes_after_the_budget_is_named_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_without_networks(tmp_path, monkeypatch, "--budget-s", "-1")
    assert [row["key"] for row in found["variants"]] == [BASE.key], "without one row a run says nothing"
    assert "the seed's script: the budget of -1 s is used up" in found["left_out"]
    assert all(reason.endswith(": the budget of -1 s is used up") for reason in found["left_out"])


def test_a_row_that_cannot_run_here_says_so_and_leaves_the_others_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run_without_networks(tmp_path, monkeypatch)
    assert "the seed's script: ImportError: No module named 'rapidocr'" in found["left_out"]
    assert [row["key"] for row in found["variants"]] == [variant.key for variant in VARIANTS]


def test_the_table_has_a_line_a_variant_with_its_gate_and_the_ratio_to_the_seed() -> None:
    row = {
        "title": "bfloat16", "dtype": "bfloat16", "median": 200.0, "latency_ms": {"p50": 9.0, "p95": 11.0}, "busy": 0.5,
        "device_peak_bytes": 3_000_000_000, "start_s": 4.0, "word_f1": 0.99, "identical_share": 0.97, "passes": False,
    }  # fmt: skip
    found = {
        "different_pages": 2, "set": "plain", "words_per_page": 170.0, "seconds": 9.0, "variants": [row], "served": [],
        "peer_pages_per_s": 2.0, "left_out": ["TorchServe: not installed"],
    }  # fmt: skip
    text = tables.describe(found)
    assert "97%" in text
    assert "FAILS" in text
    assert "100.0 times" in text
    assert "left out: TorchServe: not installed" in text
