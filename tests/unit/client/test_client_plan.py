"""Which pages there are and which are still to do: documents counted, changed, mended, spoilt, cut by a limit."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import pytest
from quintet_client.errors import UsageError
from quintet_client.input.regular_files import stamp_of
from quintet_client.input.sources import find_sources
from quintet_client.output.folder import Output
from quintet_client.output.ledger import Ledger, Row, UnusableLedgerError
from quintet_client.run.plan import make_plan
from quintet_client.run.settings import ReadSettings

from tests.unit.documents.made_documents import drawn, encrypted_pdf, pdf_of, tiff_of
from tests.unit.input.made_shards import tar_of


class Reading:
    """Plans for one folder, and what a run would leave of them."""

    def __init__(self, root):
        self.folder = root / "in"
        self.folder.mkdir()
        self.output = Output(root / "out")
        self.settings = ReadSettings(self.folder, self.output.folder)

    def put(self, name, content):
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_bytes(content)

    def plan(self, passwords=(), **changes):
        settings = replace(self.settings, **changes)
        with self.output.claim():
            files = find_sources(settings.input_path, settings.selection)
            plan = make_plan(files, self.output, settings, passwords)
        with Ledger.open(self.output.ledger) as ledger:
            ledger.add_input(str(settings.input_path))
        return plan

    def run(self, passwords=(), **changes):
        """Plan, and bring all pages to the end they would have; gives the ids that were to be read."""
        plan = self.plan(passwords, **changes)
        assert plan.inputs == len(plan.todo) + plan.skipped_ok + plan.skipped_failed
        for source in plan.todo:
            if not source.code:
                self.output.write_page(source.page_id, b"answer")
            else:
                self.output.remove_page(source.page_id)
        with Ledger.open(self.output.ledger) as ledger:
            ledger.record(map(_ended, plan.todo))
        return [source.page_id for source in plan.todo]

    def known(self):
        with Ledger.open(self.output.ledger) as ledger:
            return {row.page_id: row.state for row in ledger.all_rows()}

    def answers(self):
        root = self.output.folder / "pages"
        return {str(path.relative_to(root)).removesuffix(".json") for path in root.rglob("*.json")}


def _ended(source):
    if source.code:
        return Row(source.page_id, "failed", 0, source.code, source.message, *source.stamp)
    return Row(source.page_id, "ok", 1, "", "", *stamp_of(source.path), output_bytes=len(b"answer"))


@pytest.fixture
def reading(tmp_path):
    return Reading(tmp_path)


def scans(count, first=1):
    return [drawn(f"page {number}") for number in range(first, first + count)]


def test_documents_are_their_pages_in_page_order_and_other_files_are_one_page(reading):
    reading.put("b.pdf", pdf_of(scans(11)))
    reading.put("c/one.tif", tiff_of(scans(1)))
    reading.put("c/two.TIFF", tiff_of(scans(2)))
    reading.put("a.png", b"image")
    reading.put("d.tif", b"no TIFF")
    reading.put("notes.md", b"no image")
    expected = ["a.png", *(f"b.pdf#{number}" for number in range(1, 12)), "c/one.tif", "c/two.TIFF#1", "c/two.TIFF#2"]
    assert reading.run() == [*expected, "d.tif"]
    assert [source.page for source in reading.plan(overwrite=True).todo] == [0, *range(1, 12), 0, 1, 2, 0]


def test_what_was_read_is_not_read_again(reading):
    reading.put("a.pdf", pdf_of(scans(3)))
    reading.put("b.tif", tiff_of(scans(2)))
    reading.put("locked.pdf", encrypted_pdf(scans(1), "secret"))
    assert len(reading.run()) == 6
    plan = reading.plan()
    assert (plan.inputs, plan.todo, plan.skipped_ok, plan.skipped_failed) == (6, [], 5, 1)
    assert reading.run(retry_failed=True) == ["locked.pdf"]


def test_a_document_that_changed_is_read_wholly_and_pages_it_lost_are_forgotten_with_answers_and_exports(reading):
    reading.put("a.pdf", pdf_of(scans(4)))
    reading.put("a.pdf#1.png", b"a file whose id stands among the document's")
    reading.run()
    export = reading.output.folder / "exports" / "txt" / "a.pdf.txt"
    export.parent.mkdir(parents=True)
    export.write_text("four pages")
    reading.put("a.pdf", pdf_of(scans(2)))
    assert reading.run() == ["a.pdf#1", "a.pdf#2"]
    assert set(reading.known()) == reading.answers() == {"a.pdf#1", "a.pdf#2", "a.pdf#1.png"}
    assert not export.exists()


def test_a_document_that_was_mended_loses_its_failure_and_one_that_was_spoilt_its_pages(reading):
    reading.put("a.pdf", b"no PDF")
    assert reading.run() == ["a.pdf"]
    assert reading.known() == {"a.pdf": "failed"}
    reading.put("a.pdf", pdf_of(scans(2)))
    assert reading.run() == ["a.pdf#1", "a.pdf#2"]
    assert reading.known() == {"a.pdf#1": "ok", "a.pdf#2": "ok"}
    reading.put("a.pdf", b"spoilt again")
    assert reading.run() == ["a.pdf"]
    assert (reading.known(), reading.answers()) == ({"a.pdf": "failed"}, set())


def test_pages_that_were_read_are_kept_where_what_opens_documents_is_missing(reading, tmp_path, monkeypatch):
    reading.put("a.pdf", pdf_of(scans(3)))
    reading.run()
    (tmp_path / "pypdfium2.py").write_text("raise ModuleNotFoundError('none', name='pypdfium2')")
    with monkeypatch.context() as changed:
        changed.setenv("PYTHONPATH", str(tmp_path))
        plan = reading.plan()
        assert (plan.inputs, plan.skipped_ok, plan.todo) == (3, 3, [])
        reading.put("a.pdf", pdf_of(scans(2, first=5)))
        assert reading.run() == ["a.pdf"], "it is another document now"
    assert (reading.known(), reading.answers()) == ({"a.pdf": "failed"}, set())


def test_a_tiff_that_gains_or_loses_its_second_page_changes_its_ids(reading):
    reading.put("a.tif", tiff_of(scans(1)))
    assert reading.run() == ["a.tif"]
    reading.put("a.tif", tiff_of(scans(2)))
    assert reading.run() == ["a.tif#1", "a.tif#2"]
    assert set(reading.known()) == reading.answers() == {"a.tif#1", "a.tif#2"}
    reading.put("a.tif", tiff_of(scans(1, first=7)))
    assert reading.run() == ["a.tif"]
    assert set(reading.known()) == reading.answers() == {"a.tif"}


def test_a_limit_counts_pages_and_forgets_none(reading):
    reading.put("a.pdf", pdf_of(scans(4)))
    reading.put("b.pdf", pdf_of(scans(4)))
    assert len(reading.run()) == 8
    assert reading.plan(limit=2).inputs == 2
    assert len(reading.known()) == 8
    assert reading.run(limit=6, overwrite=True) == [f"a.pdf#{n}" for n in range(1, 5)] + ["b.pdf#1", "b.pdf#2"]
    assert reading.run() == ["b.pdf#3", "b.pdf#4"]


def test_pages_of_pdfs_at_another_resolution_are_refused_until_told_to_start_anew(reading):
    reading.put("a.pdf", pdf_of(scans(2)))
    assert len(reading.run()) == 2
    with pytest.raises(UsageError, match=r"--dpi 200.*--dpi 300.*--overwrite"):
        reading.plan(dpi=300)
    assert len(reading.run(dpi=300, overwrite=True)) == 2
    with pytest.raises(UsageError, match=r"--dpi 300.*--dpi 200"):
        reading.plan()


def test_another_resolution_is_welcome_where_no_page_of_a_pdf_was_read(reading):
    reading.put("a.png", b"image")
    reading.put("b.tif", tiff_of(scans(2)))
    reading.put("locked.pdf", encrypted_pdf(scans(1), "secret"))
    reading.run()
    reading.put("a.pdf", pdf_of(scans(2)))
    assert len(reading.plan(dpi=300).todo) == 2
    assert len(reading.plan(dpi=400).todo) == 2


def test_a_document_that_claims_too_many_pages_fails_as_one(reading):
    whole = pdf_of(scans(1), object_stream_mode=0)
    reading.put("a.pdf", whole.replace(b"/Count 1", b"/Count 999999"))
    (source,) = reading.plan().todo
    assert (source.page_id, source.code) == ("a.pdf", "DOCUMENT_TOO_LONG")


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "torn page", "another version", "another database"])
def test_overwriting_sets_a_ledger_aside_that_cannot_be_read_with_the_answers_it_accounted_for(reading, damage):
    for number in range(300):
        reading.put(f"{number:03}{'x' * 100}.png", b"image")
    reading.run()
    before = reading.answers()
    spoil(reading.output.ledger, damage)
    if damage != "empty":
        with pytest.raises(UnusableLedgerError, match="--overwrite"):
            reading.plan()
    reading.put("new.png", b"image")
    (reading.folder / f"000{'x' * 100}.png").unlink()
    assert len(reading.run(overwrite=True)) == 300
    assert set(reading.known()) == reading.answers() == before - {f"000{'x' * 100}.png"} | {"new.png"}
    (aside,) = reading.output.folder.glob("set-aside-*")
    assert len(list((aside / "pages").iterdir())) == 300
    assert (aside / "ledger.sqlite").exists()
    assert len(reading.run(overwrite=True)) == 300
    assert list(reading.output.folder.glob("set-aside-*")) == [aside], "a sound ledger is emptied, not kept"


def spoil(ledger, damage):
    whole = ledger.read_bytes()
    middle = len(whole) // 2
    if damage == "another version":
        with closing(sqlite3.connect(ledger)) as connection:
            connection.execute("PRAGMA user_version = 2")
    elif damage == "another database":
        with closing(sqlite3.connect(ledger)) as connection:
            connection.execute("DROP TABLE pages")
            connection.execute("CREATE TABLE pages (number INTEGER)")
    else:
        torn = whole[:8192] + b"\xff" * 8192 + whole[16384:]
        ledger.write_bytes({"empty": b"", "cut": whole[:middle], "garbage": b"x" * middle, "torn page": torn}[damage])


def test_pages_of_files_that_are_gone_are_counted_until_they_are_pruned(reading):
    for name in ("kept.png", "gone.png", "below/gone.png"):
        reading.put(name, b"image")
    reading.put("gone.pdf", pdf_of(scans(2)))
    reading.run()
    for name in ("gone.png", "below/gone.png", "gone.pdf"):
        (reading.folder / name).unlink()
    assert (reading.plan().inputs, reading.plan(limit=1).vanished) == (1, 4)
    assert len(reading.known()) == len(reading.answers()) == 5
    assert reading.plan(prune=True).vanished == 0
    assert set(reading.known()) == reading.answers() == {"kept.png"}


def test_pages_of_another_input_are_not_gone_nor_those_of_one_that_is_away(reading):
    other = reading.folder.parent / "other"
    reading.put("../other/theirs.png", b"image")
    reading.put("../lists/of.txt", b"../far/named.png")
    reading.put("../far/named.png", b"image")
    reading.put("mine.png", b"image")
    inputs = (reading.folder, other, other.parent / "lists" / "of.txt")
    for place in inputs:
        reading.run(input_path=place)
    reading.put("mine-too.png", b"image")
    (reading.folder / "mine.png").unlink()
    assert [reading.plan(input_path=place, prune=False).vanished for place in inputs] == [1, 1, 1]
    other.rename(other.parent / "unmounted")
    assert reading.plan(prune=True).vanished == 0
    other.mkdir()
    assert reading.plan(prune=True).vanished == 0
    assert {"theirs.png", "mine.png", "%2E%2E/far/named.png"} <= set(reading.known())
    (other.parent / "unmounted" / "theirs.png").rename(other / "theirs.png")
    reading.plan(prune=True)
    assert {"theirs.png", "%2E%2E/far/named.png", "mine-too.png"} == set(reading.known())


def test_nothing_is_pruned_where_input_is_empty(reading):
    reading.put("a.png", b"image")
    reading.run()
    (reading.folder / "a.png").unlink()
    with pytest.raises(UsageError, match="nothing to read"):
        reading.plan(prune=True)
    assert reading.answers() == {"a.png"}


def test_what_a_run_leaves_out_by_name_has_not_vanished(reading):
    for name in ("a.png", "b.jpg", "drafts/c.png", ".hidden/d.png"):
        reading.put(name, b"image")
    reading.put("shard.tar", tar_of([("x.jpg", b"image"), (".y.jpg", b"image")]))
    reading.put("letter", pdf_of(scans(2)))
    reading.run(hidden=True)
    (reading.folder / "drafts" / "c.png").unlink()
    left = reading.known()
    for narrower in ({}, {"exclude": ("drafts",), "hidden": True}, {"include": ("*.jpg",)}):
        assert reading.plan(prune=True, **narrower).vanished == 0
        assert set(reading.known()) == set(left)
    (reading.folder / "letter").unlink()
    reading.plan(prune=True, hidden=True)
    assert set(left) - set(reading.known()) == {"drafts/c.png", "letter%.pdf#1", "letter%.pdf#2"}


def test_without_shards_patterns_keep_what_they_leave_out_and_the_rest_vanishes(reading):
    for name in ("a.png", "b.jpg", "c.jpg", "drafts/d.jpg"):
        reading.put(name, b"image")
    reading.run()
    for name in ("a.png", "c.jpg", "drafts/d.jpg"):
        (reading.folder / name).unlink()
    assert reading.plan(include=("*.jpg",), exclude=("drafts",), prune=True).inputs == 1
    assert set(reading.known()) == {"a.png", "b.jpg", "drafts/d.jpg"}


def test_a_locked_pdf_is_opened_again_when_there_are_passwords(reading):
    reading.put("a.pdf", encrypted_pdf(scans(2), "secret"))
    assert reading.run() == ["a.pdf"]
    assert reading.run() == []
    assert reading.run(passwords=("wrong",)) == []
    assert reading.run(passwords=("wrong", "secret")) == ["a.pdf#1", "a.pdf#2"]
    assert reading.run() == []


def test_pages_of_pdfs_in_tars_are_of_one_resolution_too(reading):
    reading.put("a.tar", tar_of([("x.pdf", pdf_of(scans(1)))]))
    reading.run(dpi=100)
    with pytest.raises(UsageError, match="--dpi 100"):
        reading.plan(dpi=200)


def test_a_file_that_is_called_like_a_page_has_an_id_of_its_own(reading):
    reading.put("x.pdf", pdf_of(scans(2)))
    reading.put("x.pdf#2.tif", tiff_of(scans(1)))
    listed = reading.folder / "list.txt"
    reading.put("x.pdf#2", b"image")
    listed.write_text("x.pdf\nx.pdf#2\nx.pdf#2.tif\n")
    with reading.output.claim():
        plan = make_plan(find_sources(listed), reading.output, reading.settings)
    ids = {source.page_id: source.page for source in plan.todo}
    assert ids == {"x.pdf#1": 1, "x.pdf#2": 2, "x.pdf%232": 0, "x.pdf#2.tif": 0}


def test_thousands_of_tiffs_are_planned_in_seconds(reading):
    body = tiff_of([drawn("a", (8, 8))])
    for number in range(2000):
        reading.put(f"{number}.tif", body)
    begin = time.monotonic()
    assert reading.plan().inputs == 2000
    assert time.monotonic() - begin < 10, "0.3 s where nothing else runs"
