"""The benchmark's instruments: statistics, table and JSON, memory of a process tree, order of visits."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks import cost_curve
from benchmarks.bench import schedule
from benchmarks.bench.figures import RowFigures, Visit, fastest, ratio, summarise
from benchmarks.bench.memory import PeakMemory, tree_bytes
from benchmarks.bench.page_sets import PageSet, copy_receipts, repeat_pages
from benchmarks.bench.report import describe_goals, describe_stages, describe_table, goals, rows_as_json
from benchmarks.bench.rows import CATALOGUE, Entry, Unavailable, choose_rows
from benchmarks.bench.schedule import measure
from benchmarks.bench_gpu.busy import parse_samples
from benchmarks.bench_gpu.in_process import percentiles
from benchmarks.bench_gpu.options import parse as parse_gpu
from benchmarks.bench_gpu.pages import draw_plain_pages


def row(key: str, *rates: float, f1: float | None = None) -> RowFigures:
    return RowFigures(key, f"row {key}", rates, f1, 10_000_000 if rates else None)


def test_a_row_is_the_median_of_its_visits_and_the_peak_of_their_memory() -> None:
    visits = [
        Visit(8, 4.0, 100, 30, {"pass": 1}),
        Visit(8, 1.0, 300, 10, {"pass": 2}),
        Visit(8, 2.0, 200, 20, {"pass": 3}),
    ]
    found = summarise("d1", "served", visits, 0.95, "notes")
    assert found.pages_per_s == (2.0, 8.0, 4.0)
    assert found.median == 4.0
    assert (found.server_peak_bytes, found.client_peak_bytes) == (300, 30)
    assert found.detail == {"pass": 3}


def test_a_row_that_could_not_run_keeps_its_reason_and_has_no_figure() -> None:
    found = summarise("d3", "shared", [], None, "not available: no such option")
    assert found.median is None
    assert found.notes == "not available: no such option"
    assert ratio(found, row("a", 1.0)) is None
    assert ratio(row("a", 1.0), found) is None


def test_the_fastest_of_a_letter_is_chosen_by_its_median() -> None:
    rows = [row("c1", 9.0, 1.0, 1.0), row("c2", 2.0), row("d1", 5.0), row("c3")]
    assert fastest(rows, "c") == rows[1]
    assert fastest(rows, "e") is None


def test_the_table_gives_ratios_to_the_first_row_and_dashes_for_what_is_missing() -> None:
    rows = [row("a", 0.5, f1=0.9), row("c1", 1.0, 2.0, 1.5, f1=0.95), row("d3")]
    lines = describe_table(rows).splitlines()
    assert len({line.index("word F1") for line in lines[:1]}) == 1
    assert lines[2].split()[-6:] == ["0.500", "0.50-0.50", "1.00", "0.9000", "10", "-"]
    assert lines[3].split()[-6:] == ["1.500", "1.00-2.00", "3.00", "0.9500", "10", "-"]
    assert lines[4].split()[-6:] == ["-"] * 6


def test_the_goals_compare_the_service_with_the_fastest_peer_the_seed_and_the_networks() -> None:
    rows = [row("a", 1.0), row("b1", 2.0), row("b2", 2.5), row("b3"), row("d1", 4.0), row("d2", 5.0), row("e", 6.0)]
    found = {goal.name: (goal.times, goal.least) for goal in goals(rows)}
    assert found == {
        "d2 / b2, the fastest peer": (2.0, 2.0),
        "d2 / a, the seed's packages": (5.0, 3.5),
        "d2 / e, the networks alone": (pytest.approx(0.833, abs=1e-3), 0.9),
    }
    assert goals([row("a", 1.0), row("b1", 2.0)]) == []
    assert not describe_goals([row("a", 1.0)])


@pytest.mark.parametrize(
    ("served", "word_f1", "met"),
    [(2.0, 0.948, True), (2.0, 0.9479, False), (1.9, 0.96, False), (2.0, None, None)],
    ids=["fast enough and within the margin", "fast but reads worse", "reads better but is slow", "not scored"],
)
def test_a_goal_is_met_by_speed_with_a_word_f1_near_the_best(
    served: float, word_f1: float | None, met: bool | None
) -> None:
    rows = [row("a", 0.1, f1=0.95), row("b2", 1.0, f1=0.93), row("d1", served, f1=word_f1)]
    assert goals(rows)[0].met is met


def test_the_goals_are_shown_with_word_f1_beside_them() -> None:
    head, _, peer, seed, floor = describe_goals([row("b1", 1.0, f1=0.95), row("d1", 2.5, f1=0.949)]).splitlines()
    assert head.split()[:8] == ["goal", "(word", "F1", "within", "0.002", "of", "the", "best)"]
    assert peer.split()[-5:] == ["2.500", "2.0", "0.9490", "0.9500", "yes"]
    assert seed.startswith("d1 / -, the seed's packages")
    assert seed.split()[-5:] == ["-", "3.5", "0.9490", "0.9500", "-"]
    assert floor.split()[-1] == "-"


def test_the_json_carries_every_repeat_with_median_and_ratio() -> None:
    entries = json.loads(json.dumps(rows_as_json([row("a", 1.0, 2.0, 4.0), row("e", 8.0), row("d3")])))
    assert entries[0]["pages_per_s"] == [1.0, 2.0, 4.0]
    assert entries[0]["pages_per_s_median"] == 2.0
    assert entries[1]["ratio_to_a"] == 4.0
    assert entries[2]["pages_per_s_median"] is None


def test_the_stages_are_shown_where_the_floor_was_measured() -> None:
    floor = RowFigures("e", "floor", (1.0,), detail={"stage_ms_per_page": {"layout": 80.0, "recognition": 1400.25}})
    assert describe_stages([floor]) == "networks alone, ms a page: layout 80.0, recognition 1400.2"
    assert not describe_stages([row("a", 1.0)])


def test_rows_are_chosen_by_key_or_letter_in_the_order_of_the_catalogue() -> None:
    assert [entry.key for entry in choose_rows(["d1", "c"])] == ["c1", "c2", "c3", "c4", "c5", "d1"]
    assert [entry.key for entry in choose_rows(["b"])] == ["b1", "b2", "b3"]
    assert choose_rows([]) == list(CATALOGUE)
    with pytest.raises(ValueError, match="no row is called 'x'"):
        choose_rows(["x"])


CHILD = """
import subprocess, sys
if len(sys.argv) > 1:
    held = bytearray(60_000_000)
    print("ready", flush=True)
    sys.stdin.read()
else:
    subprocess.run([sys.executable, __file__, "child"])
"""


def test_the_peak_memory_of_a_process_holds_that_of_its_children(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(CHILD)
    process = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process, PeakMemory(process.pid, period_s=0.01) as memory:
        assert process.stdout.readline() == b"ready\n"
        assert 60_000_000 < tree_bytes(process.pid) < 200_000_000
        deadline = time.monotonic() + 20
        while memory.peak_bytes < 60_000_000 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.communicate(b"")
    assert 60_000_000 < memory.peak_bytes < 200_000_000
    assert tree_bytes(process.pid) == 0


@dataclass
class Scripted:
    """A row that notes what is done with it."""

    key: str
    diary: list[str]
    fails: str = ""
    seconds: list[float] = field(default_factory=lambda: [2.0, 1.0, 4.0])

    def open(self, pages: Sequence[Path]) -> str:
        self.diary.append(f"open {self.key}")
        if self.fails == "open":
            raise Unavailable("not available: scripted")
        return "scripted"

    def visit(self, pages: Sequence[Path], output: Path) -> Visit:
        self.diary.append(f"visit {self.key}")
        if self.fails == "visit":
            raise RuntimeError("died\nat length")
        return Visit(len(pages), self.seconds.pop(0), 1)

    def close(self) -> None:
        self.diary.append(f"close {self.key}")


@pytest.fixture
def four_pages(tmp_path: Path) -> PageSet:
    (tmp_path / "truth.json").write_text("{}")
    return PageSet("scripted", tmp_path, tuple(tmp_path / f"{number}.png" for number in range(4)))


def test_rows_are_visited_in_turn_and_closed_at_the_end(
    four_pages: PageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "RESERVE_BYTES", 0)
    diary: list[str] = []
    entries = [Entry("a", "first", "process"), Entry("b", "second", "process")]
    found = measure(entries, lambda entry: Scripted(entry.key, diary), four_pages, 3, tmp_path / "work")
    assert diary == [
        *("open a", "visit a", "open b", "visit b", "visit a", "visit b", "visit a", "visit b"),
        *("close a", "close b"),
    ]
    assert [one.median for one in found] == [2.0, 2.0]
    assert found[0].notes == "scripted"


def test_where_memory_is_short_an_idle_row_is_closed_for_the_next_one(
    four_pages: PageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "RESERVE_BYTES", 1 << 60)
    diary: list[str] = []
    entries = [Entry("a", "first", "process"), Entry("b", "second", "process")]
    found = measure(entries, lambda entry: Scripted(entry.key, diary), four_pages, 2, tmp_path / "work")
    assert diary == [
        *("open a", "visit a", "close a", "open b", "visit b", "close b"),
        *("open a", "visit a", "close a", "open b", "visit b", "close b"),
    ]
    assert [len(one.pages_per_s) for one in found] == [2, 2]


@pytest.mark.parametrize(("fails", "notes"), [("open", "not available: scripted"), ("visit", "died")])
def test_a_row_that_fails_is_closed_and_left_out_and_the_others_go_on(
    four_pages: PageSet, tmp_path: Path, fails: str, notes: str
) -> None:
    diary: list[str] = []
    entries = [Entry("a", "first", "process"), Entry("b", "second", "process")]

    def make(entry: Entry) -> Scripted:
        return Scripted(entry.key, diary, fails if entry.key == "a" else "")

    found = measure(entries, make, four_pages, 2, tmp_path / "work")
    assert found[0].pages_per_s == ()
    assert found[0].notes == notes
    assert len(found[1].pages_per_s) == 2
    assert diary.count("open a") == diary.count("close a") == 1


def test_a_row_that_fails_later_is_broken_for_good(four_pages: PageSet, tmp_path: Path) -> None:
    diary: list[str] = []
    only = Scripted("a", diary)

    def visit(pages: Sequence[Path], output: Path) -> Visit:
        only.fails = "visit" if diary.count("visit a") else ""
        return Scripted.visit(only, pages, output)

    only.visit = visit  # type: ignore[method-assign]
    (found,) = measure([Entry("a", "first", "process")], lambda _entry: only, four_pages, 4, tmp_path / "work")
    assert len(found.pages_per_s) == 1
    assert found.notes == "died"
    assert diary.count("visit a") == 2


def test_receipts_are_copied_with_their_truth(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    truth = {f"{name}.jpg": [{"text": "two words", "quad": [[0, 0]] * 4}] for name in ("b", "a", "c", "gone")}
    (source / "truth.json").write_text(json.dumps(truth))
    for name in ("a", "b", "c"):
        (source / f"{name}.jpg").write_bytes(name.encode())
    found = copy_receipts(source, 2, tmp_path / "copied")
    assert [path.name for path in found.pages] == ["a.jpg", "b.jpg"]
    assert sorted(json.loads(found.truth.read_text())) == ["a.jpg", "b.jpg"]
    assert found.words_per_page() == 2


def point(pages: int, server: int, client: int) -> cost_curve.Point:
    return cost_curve.Point(pages, 0, 1.0, float(pages), server, client)


def test_the_cost_curve_is_flat_within_five_percent_of_the_count_before_the_last() -> None:
    server, client = cost_curve.judge([point(100, 500, 500), point(1000, 1000, 1000), point(5000, 1040, 1060)])
    assert (server.whose, server.is_flat) == ("server", True)
    assert (client.whose, client.is_flat) == ("client", False)
    assert cost_curve.judge([point(100, 1, 1)]) == []


def test_gpu_usage_is_the_mean_busy_share_and_the_peak_memory() -> None:
    usage = parse_samples("100, 4096\n50, 8192\n0, 100\n97")
    assert usage.busy == pytest.approx(0.5)
    assert usage.peak_bytes == 8192 << 20
    assert parse_samples("No devices were found\n").busy is None


def test_percentiles_of_few_values_are_among_them() -> None:
    assert percentiles([5.0]) == {"p50": 5.0, "p95": 5.0}
    assert percentiles([float(value) for value in range(1, 101)]) == {"p50": 50.5, "p95": 96.0}


def test_the_gpu_benchmark_has_options_for_folders_without_a_network() -> None:
    options = parse_gpu(["--models", "m", "--wheels", "w", "--batches", "1", "64", "--served-pages", "0"])
    assert (options.models, options.wheels) == (Path("m"), Path("w"))
    assert options.batches == (1, 64)
    assert options.served_pages == 0
    assert parse_gpu([]).served_pages == 2048
    assert parse_gpu(["--device", "cpu", "--pages", "4"]).served_pages == 4
    assert options.device == "cuda"


def test_plain_pages_carry_170_words_and_their_truth(tmp_path: Path) -> None:
    pages = draw_plain_pages(1, tmp_path)
    assert [path.name for path in pages.pages] == ["page-00000.jpg"]
    assert pages.words_per_page() == 170


def test_few_pages_are_repeated_under_names_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    few = PageSet("given", tmp_path, (tmp_path / "a.jpg",))
    many = repeat_pages(few, 3, tmp_path / "many")
    assert [path.name for path in many.pages] == ["000000-a.jpg", "000001-a.jpg", "000002-a.jpg"]
    assert all(path.read_bytes() == b"a" for path in many.pages)
