"""A run is only read: its ledger while it is written, its answers whatever they hold, its speed over time."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet_client.errors import UsageError
from quintet_client.output.ledger import Ledger, Row
from quintet_client.viewer.data.ledger import Filter, LedgerReader
from quintet_client.viewer.data.run import Run
from quintet_client.viewer.data.speed import sittings_of
from quintet_client.viewer.data.summary import summarise
from quintet_client.viewer.drawing import Amount, bars, clock, speed_chart

from tests.client.viewer.made_runs import answer, make_run, write_answer, write_ledger

SVG_TEXT = "{http://www.w3.org/2000/svg}text"
ROUND_S = {1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400}


def contents(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_looking_changes_nothing_in_output(tmp_path):
    made = make_run(tmp_path)
    before = contents(made.output_path)
    run = Run(made.output_path)
    assert summarise(run).counts == {"ok": 8, "failed": 2, "left": 0}
    assert run.page("invoices/page000.png").lines[0].text == "Invoice 7000"
    assert contents(made.output_path) == before


def test_a_ledger_in_a_folder_that_cannot_be_written_is_read(tmp_path, monkeypatch):
    made = make_run(tmp_path)
    opened = []
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, _real=sqlite3.connect, **k: opened.append(a[0]) or _real(*a, **k)
    )
    LedgerReader(made.output_path / "ledger.sqlite")
    assert all("mode=ro" in uri and "immutable=1" in uri for uri in opened)


def test_a_run_that_goes_on_is_seen_as_it_goes(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        ledger.record([Row("a", "pending"), Row("b", "pending")])
        reader = LedgerReader(tmp_path / "ledger.sqlite")
        assert reader.counts() == {"ok": 0, "failed": 0, "left": 2}
        ledger.record([Row("a", "ok"), Row("b", "failed", code="TIMEOUT")])
        assert reader.counts() == {"ok": 1, "failed": 1, "left": 0}
        assert reader.codes() == [("TIMEOUT", 1)]


def test_pages_are_filtered_sorted_and_placed(tmp_path):
    write_ledger(
        tmp_path, [Row(f"p{i}", "failed" if i % 3 == 0 else "ok", code="X" if i % 3 == 0 else "") for i in range(10)]
    )
    reader = LedgerReader(tmp_path / "ledger.sqlite")
    failed = Filter(state="failed")
    assert [entry.page_id for entry in reader.entries(failed)] == ["p0", "p3", "p6", "p9"]
    assert [entry.page_id for entry in reader.entries(start=4, count=2)] == ["p4", "p5"]
    assert reader.count(Filter(code="X", name="P9")) == 1
    assert reader.count(Filter(state="no such state")) == 0
    place = reader.place("p3", failed)
    assert (place.position, place.total, place.previous, place.next) == (2, 4, "p0", "p6")
    assert reader.place("p0").previous is None


def test_a_folder_without_a_ledger_is_a_clear_error(tmp_path):
    with pytest.raises(UsageError, match="OUTPUT"):
        Run(tmp_path)
    (tmp_path / "ledger.sqlite").write_bytes(b"no database" * 200)
    with pytest.raises(UsageError, match="cannot be read"):
        Run(tmp_path)


def test_an_answer_outside_of_output_is_refused(tmp_path):
    out = tmp_path / "out"
    write_ledger(out, [write_answer(out, "a.png", answer([]))])
    (tmp_path / "secret.json").write_text(json.dumps(answer(["secret"])))
    (out / "pages" / "link.json").symlink_to(tmp_path / "secret.json")
    run = Run(out)
    for page_id in ("../../secret", "link", "%2E%2E/%2E%2E/secret"):
        with pytest.raises(OSError, match=r"no name|symbolic link|No such"):
            run.answer(page_id)
        assert run.page(page_id) is None


@pytest.mark.parametrize(
    "change",
    [
        {"width_px": 0},
        {"lines": [{"text": "t", "score": 1, "quad_px": [[0, 0]], "region": None}]},
        {"lines": [{"text": "t", "score": float("nan"), "quad_px": [[0, 0]] * 4, "region": None}]},
        {"regions": [{"label": "text", "score": 1, "box_px": [0, 1, float("inf"), 2]}]},
        {"regions": "none"},
    ],
)
def test_an_answer_that_cannot_be_drawn_is_none(tmp_path, change):
    write_ledger(tmp_path, [write_answer(tmp_path, "a.png", answer(["text"]) | change)])
    assert Run(tmp_path).page("a.png") is None


def test_a_run_says_how_many_of_its_pages_are_of_files_that_are_gone(tmp_path):
    made = make_run(tmp_path)
    report = json.loads((made.output_path / "report.json").read_bytes())
    (made.output_path / "report.json").write_text(json.dumps(report | {"vanished": 2}))
    assert summarise(Run(made.output_path)).note.startswith("2 pages are of files that are gone")


def test_input_is_what_the_run_says_unless_told_otherwise(tmp_path):
    made = make_run(tmp_path)
    assert Run(made.output_path).originals.inputs == (made.input_path,)
    assert Run(made.output_path, tmp_path).originals.inputs == (tmp_path,)


@pytest.mark.parametrize(
    ("fact", "inputs"), [('["/a", "/b"]', ("/a", "/b")), ("[]", ()), ("[7]", ()), ("{", ()), ("7", ())], ids=str
)
def test_inputs_are_those_that_the_ledger_names_and_none_if_that_is_damaged(tmp_path, fact, inputs):
    made = make_run(tmp_path)
    with closing(sqlite3.connect(made.output_path / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE facts SET value = ? WHERE name = 'inputs'", (fact,))
    assert Run(made.output_path).originals.inputs == tuple(map(Path, inputs))


def test_a_damaged_report_is_no_report(tmp_path):
    made = make_run(tmp_path)
    for damaged in ("[]", "{", '{"settings": 7, "stages": {"load": 3}, "started_at": 5, "reason": []}'):
        (made.output_path / "report.json").write_text(damaged)
        assert summarise(Run(made.output_path)).pages == 10


SECONDS = st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 50), st.integers(0, 5)), min_size=1, max_size=60)


@given(SECONDS)
def test_no_page_is_lost_between_sittings_and_bins(ends):
    rows = [(f"2026-03-01T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}", ok, failed) for s, ok, failed in sorted(ends)]
    sittings = sittings_of(rows)
    assert sum(s.ok for s in sittings) == sum(ok for _s, ok, _f in ends)
    for sitting in sittings:
        assert sum(part.ok for part in sitting.bins) == sitting.ok
        assert sum(part.failed for part in sitting.bins) == sitting.failed
        assert len(sitting.bins) <= 80


DAY = datetime(2026, 3, 1, tzinfo=UTC)
NINE = DAY + timedelta(hours=9)
ROWS = [("2026-03-01T09:00:10", 5, 0), ("2026-03-01T09:00:19", 5, 2), ("2026-03-01T09:05:00", 1, 1)]


def figures(sittings):
    return [(it.started_at - NINE, it.seconds, it.ok, it.failed, it.pages_per_s) for it in sittings]


def test_a_long_pause_begins_another_sitting():
    rows = [*ROWS[:2], ("2026-03-01T12:00:00", 3, 0)]
    assert figures(sittings_of(rows)) == [
        (timedelta(seconds=10), 10.0, 10, 2, 1.0),
        (timedelta(hours=3), 1.0, 3, 0, 3.0),
    ]


def test_the_last_run_is_a_sitting_from_its_beginning_to_its_end_and_failures_are_no_speed():
    ended = NINE + timedelta(seconds=25)
    first, second = figures(sittings_of(ROWS, NINE, ended))
    assert first == (timedelta(), 25.0, 10, 2, 0.4)
    assert second[2:4] == (1, 1), "pages that came later are of another run"


def test_the_idle_time_before_a_run_is_of_none():
    began = NINE + timedelta(seconds=290)
    assert figures(sittings_of(ROWS, began, began + timedelta(seconds=20))) == [
        (timedelta(seconds=10), 10.0, 10, 2, 1.0),
        (timedelta(seconds=290), 20.0, 1, 1, 0.05),
    ]


def test_a_run_without_a_page_yet_has_its_time():
    began = NINE + timedelta(seconds=900)
    *_, last = sittings_of(ROWS, began, began + timedelta(seconds=7))
    assert (last.seconds, last.ok, last.bins) == (7.0, 0, ())
    assert "0.00 on average" in speed_chart(last)


def test_what_is_no_moment_is_left_out():
    assert sittings_of([("yesterday", 1, 0)]) == []


def test_charts_escape_what_they_are_given_and_stay_xml():
    chart = bars([Amount('<b>&"\x00\x0b', 3, "\ud800 note", part=1), Amount("none", 0, "0")])
    assert ET.fromstring(chart).findtext(".//span").startswith("<b>&")
    (sitting,) = sittings_of([("2026-03-01T09:00:10", 5, 2)])
    assert "2 failed" in "".join(ET.fromstring(speed_chart(sitting)).itertext())


@pytest.mark.parametrize("width_px", [300, 1160])
@pytest.mark.parametrize("seconds", [1, 7, 37, 1000, 5000, 100_000])
def test_the_times_below_a_chart_are_round_and_do_not_touch(width_px, seconds):
    (sitting,) = sittings_of([("2026-03-01T09:00:00", 1, 0)], NINE, NINE + timedelta(seconds=seconds))
    ticks = [text for text in ET.fromstring(speed_chart(sitting, width_px)).iter(SVG_TEXT) if ":" in text.text]
    places = [float(tick.get("x")) for tick in ticks]
    assert all(b - a >= 60 for a, b in pairwise(places))
    assert places[-1] + 22 <= width_px
    parts = [reversed(tick.text.split(":")) for tick in ticks]
    times_s = [sum(60**power * int(part) for power, part in enumerate(of_one)) for of_one in parts]
    assert {b - a for a, b in pairwise(times_s)} <= ROUND_S


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7, "0:07"), (125, "2:05"), (600, "10:00"), (3605, "1:00:05")]
)
def test_durations_are_written_as_people_do(seconds, text):
    assert clock(seconds) == text
