"""`quintet read` into an address, against moto's S3 and a scripted service: parts that hold what the folder holds."""

import io
import json
import os
import signal
import threading
import time

import pytest
from pyarrow import parquet
from quintet_client.input.addresses import Address
from quintet_client.output.parts.place import PartsPlace

from tests.client.exports.exporting import failing, two_words, write_images
from tests.client.reading import answers, once_workers_load, read, wait_until, write_pages
from tests.client.scripted_server import Reply, ScriptedServer, page_answer
from tests.client.stores.s3 import BUCKET, finish, quintet, start

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

OUTPUT = f"s3://{BUCKET}/read/2026"


def reading(folder, url, *options):
    return ["read", folder, OUTPUT, "--server", url, "--loaders", 1, *options]


def part_rows(store):
    """All rows of all parts, in the order of their names."""
    keys = store.keys("read/2026/parts/")
    return [row for key in keys for row in parquet.read_table(io.BytesIO(store.get(key))).to_pylist()]


def report(store):
    counts = json.loads(store.get("read/2026/report.json"))
    assert counts["inputs"] == counts["ok"] + counts["failed"] + counts["skipped"] + counts["left"]
    return counts


def test_a_store_holds_what_the_folder_holds_and_any_machine_goes_on(store, folder, output, tmp_path, monkeypatch):
    write_images(folder, 1100)
    (folder / "bad.png").write_bytes(b"no image")
    with ScriptedServer(failing) as server:
        assert read(folder, output, server.url) == 3
        server.script = once_workers_load(failing)
        assert quintet(store, *reading(folder, server.url))[0] == 3
        rows = {row["page_id"]: row for row in part_rows(store)}
        assert len(part_rows(store)) == len(rows) == 1101
        for page_id, answer in answers(output).items():
            assert json.loads(rows[page_id]["result"]) == json.loads(answer)
            assert rows[page_id]["text"] == json.loads(answer)["text"]
        assert (rows["bad.png"]["state"], rows["bad.png"]["code"]) == ("failed", "UNSUPPORTED_FORMAT")
        assert report(store)["failed"] == 1
        assert json.loads(store.get("read/2026/failed.jsonl"))["page_id"] == "bad.png"

        store.environment["XDG_CACHE_HOME"] = str(tmp_path / "another-machine")
        (folder / "part0" / "page00.png").write_bytes((folder / "part1" / "page01.png").read_bytes())
        assert quintet(store, *reading(folder, server.url))[0] == 3
        assert (report(store)["ok"], report(store)["skipped"]) == (1, 1100)
        assert quintet(store, *reading(folder, server.url, "--retry-failed"))[0] == 3
        (folder / "bad.png").unlink()
        assert quintet(store, *reading(folder, server.url, "--prune"))[0] == 0
        store.environment["XDG_CACHE_HOME"] = str(tmp_path / "a-third")
        assert quintet(store, *reading(folder, server.url))[0] == 0
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ALLOW_HTTP", "AWS_REGION"):
            monkeypatch.setenv(name, store.environment[name])
        assert PartsPlace(Address.of(OUTPUT)).read("failed.jsonl") == b"", "no page failed"
        assert report(store)["vanished"] == 0, "the page that was removed is in no ledger that is made of the parts"
        assert quintet(store, *reading(folder, server.url, "--overwrite", "--limit", 3))[0] == 0
    assert len(part_rows(store)) == 3


def test_results_of_a_store_are_exported_shown_and_reported(store, folder, output, tmp_path):
    write_images(folder, 5)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url) == 0
        assert quintet(store, *reading(folder, server.url, "--formats", "txt"))[0] == 2
        assert quintet(store, *reading(folder, server.url))[0] == 0
    assert quintet(store, "export", OUTPUT, "--to", "txt,jsonl,parquet,pdf")[0] == 2, "into which folder?"
    assert quintet(store, "export", OUTPUT, "--to", "txt,jsonl,pdf", "--into", tmp_path / "made")[0] == 0
    assert quintet(store, "export", output, "--to", "txt,jsonl,pdf")[0] == 0
    made, expected = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "made" / "exports", output / "exports")
    )
    assert made == expected
    assert quintet(store, "export", OUTPUT, "--to", "txt,pdf", "--beside-input")[0] == 0
    beside = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.txt")}
    assert beside == {
        path.as_posix().removeprefix("txt/"): body for path, body in expected.items() if path.suffix == ".txt"
    }
    assert len(list(folder.rglob("*.ocr.pdf"))) == 5
    assert quintet(store, "report", OUTPUT)[0] == 2, "which file?"
    assert quintet(store, "report", OUTPUT, "--html", tmp_path / "report.html")[0] == 0
    assert "5 pages = 5 read + 0 failed" in (tmp_path / "report.html").read_text()


def test_what_is_pruned_in_a_store_is_in_no_later_export_of_any_machine(store, folder, tmp_path):
    write_images(folder, 3)
    export = ("export", OUTPUT, "--to", "txt,jsonl", "--into", tmp_path / "made")
    with ScriptedServer(two_words) as server:
        assert quintet(store, *reading(folder, server.url))[0] == 0
        assert quintet(store, *export)[0] == 0
        (folder / "part0" / "page02.png").unlink()
        assert quintet(store, *reading(folder, server.url, "--prune"))[0] == 0
    store.environment["XDG_CACHE_HOME"] = str(tmp_path / "another-machine")
    assert quintet(store, *export)[0] == 0
    made = [path.name for path in (tmp_path / "made" / "exports").rglob("*") if path.is_file()]
    assert sorted(made) == ["page00.png.txt", "page01.png.txt", "pages.jsonl"]


def test_a_client_that_is_killed_leaves_whole_parts_and_the_next_reads_what_is_in_none(store, folder):
    pages = write_pages(folder, 1600)
    killed = threading.Event()

    def slow(request):
        """Answers 1,200 pages at once, and the others after the first client is gone."""
        killed.wait(0 if len(server.seen) < 1200 else 60)
        return page_answer(request)

    with ScriptedServer(slow) as server:
        process = start(store, *reading(folder, server.url))
        wait_until(lambda: store.keys("read/2026/parts/"))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed.set()
        before = {row["page_id"] for row in part_rows(store)}
        assert 512 <= len(before) < 1600
        assert quintet(store, *reading(folder, server.url))[0] == 0
    rows = part_rows(store)
    assert sorted(row["page_id"] for row in rows) == sorted(pages), "every page once"
    assert report(store)["skipped"] == len(before)


def test_a_second_client_elsewhere_takes_over_and_the_first_ends_with_words(store, folder, tmp_path):
    pages = write_pages(folder, 300)
    answered, taken_over = threading.Event(), threading.Event()

    def slow(request):
        answered.set()
        taken_over.wait(0 if len(server.seen) < 200 else 60)
        return page_answer(request)

    with ScriptedServer(slow) as server:
        first = start(store, *reading(folder, server.url, "--in-flight", 8))
        assert answered.wait(30)
        threading.Thread(
            target=lambda: (wait_until(lambda: len(store.keys("read/2026/runs/")) == 2), taken_over.set())
        ).start()
        store.environment["XDG_CACHE_HOME"] = str(tmp_path / "another-machine")
        assert quintet(store, *reading(folder, server.url))[0] == 0
        code, said = finish(first)
    assert (code, "another client has begun to write" in said) == (6, True), said
    assert sorted(row["page_id"] for row in part_rows(store)) == sorted(pages)


def test_a_store_that_is_busy_for_20_s_costs_time_and_no_page(store, folder):
    pages = write_pages(folder, 600)
    begun = threading.Event()

    def answer(request):
        if not begun.is_set():
            begun.set()
            store.be_busy(20)
        return page_answer(request)

    with ScriptedServer(answer) as server:
        assert quintet(store, *reading(folder, server.url))[0] == 0
    assert store.refused > 0
    assert sorted(row["page_id"] for row in part_rows(store)) == sorted(pages)


def test_a_store_that_refuses_or_a_bucket_that_is_not_there_ends_the_run_before_anything_is_read(store, folder):
    write_pages(folder, 3)
    with ScriptedServer() as server:
        code, said = quintet(store, "read", folder, "s3://no-such-bucket/x", "--server", server.url)
        assert (code, "there is no bucket no-such-bucket" in said) == (6, True), said
        store.fails_with = 403
        code, said = quintet(store, *reading(folder, server.url))
        store.fails_with = 0
        assert (code, "refused the credentials of the environment" in said) == (6, True), said
        assert not server.seen


def test_an_interrupted_run_puts_what_it_has_in_place(store, folder):
    write_pages(folder, 400)

    def slow(request):
        time.sleep(0.02)
        return page_answer(request) if request.body else Reply(500)

    with ScriptedServer(slow) as server:
        process = start(store, *reading(folder, server.url, "--in-flight", 8))
        wait_until(lambda: sum(server.seen.values()) > 100)
        process.send_signal(signal.SIGINT)
        code, _said = finish(process)
        assert code == 130
        done = len(part_rows(store))
        assert done > 50, "they are not thrown away"
        assert report(store)["ok"] == done
        assert quintet(store, *reading(folder, server.url))[0] == 0
    assert len({row["page_id"] for row in part_rows(store)}) == len(part_rows(store)) == 400
    assert os.environ.get("AWS_SECRET_ACCESS_KEY") is None
