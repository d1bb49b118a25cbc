"""A run in parts is shown, searched, reported and exported as the same run in a folder; new parts are taken in."""

import json
import shutil

import pytest
from quintet_client.cancellation import Cancellation
from quintet_client.exports.exporter import ExportSettings, export_results
from quintet_client.output.folder import Output
from quintet_client.output.ledger import Ended, Ledger, Row
from quintet_client.output.parts.place import PartsPlace, part_name
from quintet_client.output.parts.rows import encode_part
from quintet_client.viewer.data import run as viewed
from quintet_client.viewer.data.run import Run
from quintet_client.viewer.data.search import Index
from quintet_client.viewer.data.summary import summarise
from quintet_client.viewer.report import report_page

from tests.client.viewer.made_runs import make_run


@pytest.fixture
def both(tmp_path):
    """A run in a folder, and its results as parts of three items."""
    made = make_run(tmp_path / "made")
    folder, parts = made.output_path, tmp_path / "parts-of-it"
    parts.mkdir()
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        rows, facts = list(ledger.all_rows()), {"inputs": ledger.fact("inputs"), "model": "m1"}
    output, place = Output(folder), PartsPlace(parts)
    run = place.begin(facts)
    for start in range(0, len(rows), 3):
        ends = [
            Ended(row, "m1", output.read_page(row.page_id)) if row.state == "ok" else Ended(row)
            for row in rows[start : start + 3]
        ]
        assert place.commit(part_name(run, "1", start), encode_part(ends), run)
    shutil.copy(folder / "report.json", parts)
    return folder, parts


def entries(run):
    return [(entry.page_id, entry.state, entry.code, entry.message) for entry in run.ledger.entries()]


def test_pages_figures_and_search_are_those_of_the_folder(both):
    of_folder, of_parts = map(Run, both)
    assert entries(of_parts) == entries(of_folder)
    for page_id, state, *_ in entries(of_folder):
        if state == "ok":
            assert of_parts.page(page_id) == of_folder.page(page_id)
    assert summarise(of_parts).equation == summarise(of_folder).equation
    assert summarise(of_parts).codes == summarise(of_folder).codes
    found = [set(Index(run).search("invoice", 0, 50, wait_s=10).page_ids) for run in (of_folder, of_parts)]
    assert found[0] == found[1] != set()
    assert of_parts.originals.inputs == of_folder.originals.inputs
    assert "data:image/jpeg" in report_page(of_parts)


def test_exports_are_those_of_the_folder(both):
    formats = ("txt", "jsonl", "csv", "hocr")
    made = []
    for place in both:
        assert export_results(ExportSettings(place, formats), Cancellation()).complete
        root = place / "exports"
        made.append({path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()})
    assert made[0] == made[1]
    assert len(made[0]) > 4


def test_what_comes_meanwhile_is_taken_in(both, monkeypatch):
    monkeypatch.setattr(viewed, "_FRESH_S", 0.0)
    run = Run(both[1])
    before = len(entries(run))
    body = run.answer(next(page_id for page_id, state, *_ in entries(run) if state == "ok"))
    new = Ended(Row("new.png", "ok", output_bytes=len(body)), "m1", body)
    assert PartsPlace(both[1]).commit(part_name(1, "1", 999), encode_part([new]), 1)
    run.refresh()
    assert len(entries(run)) == before + 1
    assert json.loads(run.answer("new.png"))["schema"] == "quintet.page/1"
