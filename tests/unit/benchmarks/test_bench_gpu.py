"""The GPU benchmark's own parts: the accuracy gate, its budget of time, its options and its table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.bench_gpu import command, tables
from benchmarks.bench_gpu.accuracy import MOST_F1_LOST, compare
from benchmarks.bench_gpu.command import Step
from benchmarks.bench_gpu.in_process import different_batches
from benchmarks.bench_gpu.options import Options, parse
from benchmarks.bench_gpu.pages import draw_plain_pages
from benchmarks.bench_gpu.variants import BASE, REFERENCE, VARIANTS

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


def run_steps(tmp_path: Path, *steps: Step, arguments: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON of a run of these steps alone, which has to be there after each of them."""
    draw_plain_pages(1, tmp_path / "pages")
    given = ["--device", "cpu", "--pages", "1", "--samples", str(tmp_path / "pages")]
    given += ["--budget", str(tmp_path / "none.json"), "--output", str(tmp_path / "report.json")]
    assert command.run(parse([*given, *arguments]), steps) == 0
    return json.loads((tmp_path / "report.json").read_text())


def own(name: str, key: str = "", **options: Any) -> Step:
    return Step(name, f"tests.unit.benchmarks.steps_of_their_own:{name}", key, **options)


def test_what_comes_after_the_budget_is_named_and_left_out(tmp_path: Path) -> None:
    document = run_steps(tmp_path, own("found", "base"), own("error"), arguments=("--budget-s", "-1"))
    assert [row["key"] for row in document["variants"]] == ["base"], "without one row a run says nothing"
    assert document["left_out"] == ["error: the budget of -1 s is used up"]


def test_a_step_that_fails_or_crashes_costs_no_more_than_its_own_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = run_steps(tmp_path, own("error"), own("crash", "graphs"), own("found", "base"))
    assert document["left_out"][0] == "error: ImportError: No module named 'rapidocr'"
    assert document["left_out"][1].startswith("crash: signal SIGABRT")
    assert [row["key"] for row in document["variants"]] == ["graphs", "base"], "what was found before the crash stays"
    assert document["variants"][1]["word_f1"] == 0.0
    assert "left out: crash: signal SIGABRT" in capsys.readouterr().out


def test_a_step_that_hangs_is_ended_with_all_that_it_has_started(tmp_path: Path) -> None:
    document = run_steps(tmp_path, own("hang"), own("found", "base"), arguments=("--step-s", "5"))
    assert document["left_out"] == ["hang: not done after 5 s"]
    assert document["cleaned"] is True
    assert not psutil.pid_exists(document["pid"]) or psutil.Process(document["pid"]).status() == psutil.STATUS_ZOMBIE
    assert len(document["variants"]) == 1


def test_the_json_is_there_after_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_step", lambda *_: ({"part_ms": {}}, None))
    monkeypatch.setattr(command.tables, "describe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_steps(tmp_path, own("found"))
    assert json.loads((tmp_path / "report.json").read_text())["part_ms"] == {}


def test_a_variant_may_change_the_environment_of_its_process(tmp_path: Path) -> None:
    (plans,) = (variant for variant in VARIANTS if variant.environment)
    assert run_steps(tmp_path, own("environment", environment=plans.environment))["limit"] == "0"


def test_each_batch_is_another_choice_of_pages() -> None:
    batches = different_batches(256, 64, 50)
    assert len({tuple(batch) for batch in batches}) == 50
    assert all(len(set(batch)) == 64 for batch in batches)
    assert different_batches(256, 64, 50) == batches, "and the same ones in the next variant"
    assert sorted(different_batches(2, 4, 1)[0]) == [0, 0, 1, 1]


def test_options_reach_another_process_as_they_are() -> None:
    options = parse(["--samples", "pages", "--batches", "1", "2"])
    assert Options.from_json(options.as_json()) == options


def test_the_tables_show_the_first_batches_and_what_was_predicted_beside_what_was_measured() -> None:
    row = {
        "key": "base", "title": "bfloat16", "dtype": "bfloat16", "start_s": 4.0, "batch": 64, "pages_per_s": 200.0,
        "batch_ms": [900.0, *[400.0] * 4, *[321.0] * 45], "latency_ms": {"p50": 9.0, "p95": 11.0}, "busy": 0.5,
        "device_peak_bytes": 3_000_000_000, "word_f1": 0.99, "identical_share": 0.97, "passes": False,
    }  # fmt: skip
    ended = {"key": "jpeg", "title": "JPEG on the device", "dtype": "float16", "start_s": 4.0}
    layout = {"gpu_ms_a_page": 0.321, "network_ms_a_page": 0.25}
    budget = {"pages": 64, "predicted": {"pages_per_s": [32.0, 112.0]}, "stages": {"layout": layout}}
    found = {
        "different_pages": 2, "set": "plain", "words_per_page": 170.0, "seconds": 9.0, "variants": [row, ended],
        "peer_pages_per_s": 2.0, "left_out": ["TorchServe: not installed"], "budget": budget,
        "part_ms": {"layout": 0.5}, "network_ms": {"layout": 0.4},
    }  # fmt: skip
    text = tables.describe(found)
    for words in ("97%", "FAILS", "100.0 times", "left out: TorchServe: not installed"):
        assert words in text
    assert re.search(r"bfloat16 +900 +400 +321 +321 +321\n", text)
    assert "32 pages/s if host and GPU take turns, 112 if they overlap; measured: 200" in text
    assert re.search(r"layout +0.500 +0.321 +0.400 +0.250", text)
