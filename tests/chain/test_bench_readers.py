"""The benchmark's own readers over the real networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from quintet.pages.chain import PageChain

from benchmarks.bench.page_sets import PageSet, draw_pages
from benchmarks.bench.process_row import ProcessRow
from benchmarks.bench.readers.floor import Floor
from benchmarks.bench.readers.habits import HabitReader, Habits
from benchmarks.bench.rows import CATALOGUE, Entry, Unavailable
from benchmarks.bench_gpu.command import run as run_gpu
from benchmarks.bench_gpu.options import parse as parse_gpu
from benchmarks.score import load_results, load_truth, score_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> PageSet:
    """Two small generated pages."""
    return draw_pages(2, tmp_path_factory.mktemp("pages"), "--scale", "0.5", "--kinds", "letter", "receipt")


@pytest.fixture(scope="module")
def by_tensors(chain: PageChain, pages: PageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the chain says of them, with every habit."""
    output = tmp_path_factory.mktemp("tensors")
    HabitReader(Habits(64, loaders=False, tensors=True, writers=2), chain).read(pages.pages, output)
    return output


@pytest.mark.parametrize("batch", [1, 64])
def test_work_page_by_page_reads_nearly_what_the_tensors_read(
    chain: PageChain, pages: PageSet, by_tensors: Path, tmp_path: Path, batch: int
) -> None:
    HabitReader(Habits(batch), chain).read(pages.pages, tmp_path)
    names = [page.name for page in pages.pages]
    tensors, one_by_one = load_results(by_tensors, names), load_results(tmp_path, names)
    agreement = score_run(tensors, one_by_one)
    assert agreement.f1 >= 0.98
    assert agreement.orientation_accuracy == 1
    assert score_run(load_truth(pages.truth), one_by_one).f1 >= 0.9


def test_the_floor_runs_every_network(model_store: Path, pages: PageSet, tmp_path: Path) -> None:
    floor = Floor()
    assert "calls" in floor.warm_up(pages.pages[:1])
    spent = floor.read(pages.pages[:1], tmp_path)["stage_ms_per_page"]
    assert len(spent) == 5
    assert all(value > 0 for value in spent.values())


@pytest.mark.parametrize("entry", [entry for entry in CATALOGUE if entry.key[0] == "b"], ids=lambda entry: entry.key)
def test_a_peer_reads_a_page_and_says_where_its_lines_stand(entry: Entry, pages: PageSet, tmp_path: Path) -> None:
    page = pages.pages[0]
    peer = ProcessRow(dict(entry.options))
    try:
        notes = peer.open([page])
        visit = peer.visit([page], tmp_path)
    except Unavailable as reason:
        pytest.skip(str(reason))
    finally:
        peer.close()
    truth = {page.name: load_truth(pages.truth)[page.name]}
    score = score_run(truth, load_results(tmp_path, truth))
    assert visit.pages == 1
    assert "knows no page orientation" in notes
    assert score.f1 >= 0.95
    assert score.quads_found >= 0.9


def test_the_gpu_benchmark_runs_on_the_cpu(
    model_store: Path, pages: PageSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--device", "cpu", "--pages", "2", "--batches", "2", "--repeats", "1", "--latency-requests", "1"]
    given = ["--samples", str(pages.folder), "--models", str(model_store), "--output", str(tmp_path / "report.json")]
    # What does not begin within the budget is left out: the benchmark's own length is no matter for a test.
    bounds = ["--served-pages", "0", "--peer-pages", "0", "--budget-s", "30"]
    assert run_gpu(parse_gpu([*arguments, *given, *bounds])) == 0
    document = json.loads((tmp_path / "report.json").read_text())
    assert all(row["word_f1"] >= 0.9 and len(row["batch_ms"]) == 2 for row in document["variants"] if "word_f1" in row)
    assert "word_f1" in document["variants"][0]
    if "network_ms" in document:
        assert set(document["network_ms"]) <= set(document["part_ms"])
        assert json.loads((tmp_path / document["trace"]).read_text())["traceEvents"]
    else:
        assert "stages: the budget of 30 s is used up" in document["left_out"]
    assert "JSON:" in capsys.readouterr().out
