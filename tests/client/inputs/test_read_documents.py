"""`quintet read` of PDFs and TIFFs against a scripted server: counts, faults, kills, resolutions, exports, memory."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from tests.client.exports.exporting import export, exported
from tests.client.reading import (
    answers,
    assert_adds_up,
    count_answers,
    finish,
    once_workers_load,
    read,
    report,
    rows,
    start_client,
    wait_until,
)
from tests.client.scripted_server import Reply, ScriptedServer, page_answer
from tests.family import RENDERER, processes_below
from tests.unit.documents.made_documents import drawn, encrypted_pdf, pdf_of, tiff_of

SIZE = (120, 160)
# One point a pixel.
DPI = ("--dpi", "72")


def scans(count, first=1):
    return [drawn(str(number), SIZE) for number in range(first, first + count)]


def write_documents(folder, pdf_pages=12, tiff_pages=5):
    (folder / "a.pdf").write_bytes(pdf_of(scans(pdf_pages)))
    (folder / "sub").mkdir()
    (folder / "sub" / "b.tiff").write_bytes(tiff_of(scans(tiff_pages, first=501)))
    (folder / "c.tif").write_bytes(tiff_of(scans(1, first=601)))
    drawn("image", SIZE).save(folder / "d.png")
    pdf = [f"a.pdf#{number}" for number in range(1, pdf_pages + 1)]
    return {*pdf, *(f"sub/b.tiff#{number}" for number in range(1, tiff_pages + 1)), "c.tif", "d.png"}


def slowly(request):
    time.sleep(0.05)
    return page_answer(request)


def test_pages_of_documents_are_read_like_others_and_a_second_run_sends_nothing(folder, output):
    ids = write_documents(folder)
    with ScriptedServer() as server:
        assert read(folder, output, server.url, *DPI) == 0
        before = answers(output)
        assert set(before) == ids
        assert read(folder, output, server.url, *DPI) == 0
    assert answers(output) == before
    assert set(server.seen.values()) == {1}
    assert (folder / "c.tif").read_bytes() in server.seen, "a TIFF of one page travels as it is"
    assert assert_adds_up(output)["skipped"] == len(ids)
    status = (folder / "a.pdf").stat()
    row = rows(output)["a.pdf#7"]
    assert (row["size_bytes"], row["mtime_ns"]) == (status.st_size, status.st_mtime_ns)


def test_a_document_alone_and_documents_of_a_list_are_read_too(folder, output, tmp_path):
    ids = write_documents(folder)
    (folder / "list.txt").write_text("a.pdf\nsub/b.tiff\n./a.pdf\nc.tif\nd.png\nmissing.pdf\n")
    with ScriptedServer() as server:
        assert read(folder / "a.pdf", output, server.url, *DPI) == 0
        assert read(folder / "list.txt", tmp_path / "listed", server.url, *DPI) == 3
    assert len(answers(output)) == 12
    assert set(answers(tmp_path / "listed")) == ids
    assert rows(tmp_path / "listed")["missing.pdf"]["code"] == "UNREADABLE_FILE"


@pytest.mark.slow
def test_loader_processes_send_the_very_bytes_that_none_sends(folder, output, tmp_path):
    ids = write_documents(folder)
    with ScriptedServer(once_workers_load()) as server:
        code, said = finish(start_client(folder, output, server.url, *DPI, "--loaders", 2, "--batch", 4))
        assert code == 0, said
        assert read(folder, tmp_path / "alone", server.url, *DPI) == 0
    assert set(answers(output)) == ids
    assert answers(output) == answers(tmp_path / "alone")
    assert {times for body, times in server.seen.items() if body} == {2}, "but for the empty pages of who asks"


def test_documents_that_cannot_be_read_fail_once_each_and_their_neighbours_are_read(folder, output):
    ids = write_documents(folder)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 no more")
    (folder / "locked.pdf").write_bytes(encrypted_pdf(scans(3), "secret"))
    (folder / "broken.tif").write_bytes(b"II*\0\xff\xff\xff\xff")
    with ScriptedServer() as server:
        assert read(folder, output, server.url, *DPI) == 3
    counts = assert_adds_up(output)
    assert counts["inputs"] == len(ids) + 3
    assert counts["errors"] == {"DOCUMENT_DAMAGED": 1, "DOCUMENT_ENCRYPTED": 1}
    failed = {line["page_id"]: line for line in map(json.loads, (output / "failed.jsonl").read_text().splitlines())}
    assert set(failed) == {"broken.pdf", "locked.pdf"}
    assert "password" in failed["locked.pdf"]["message"]
    assert "broken.tif" in answers(output), "what is wrong with it is for the service to say, as of an image"


@pytest.mark.slow
def test_a_client_killed_in_mid_document_is_completed_by_a_rerun_to_the_same_bytes(folder, output, tmp_path):
    ids = write_documents(folder, pdf_pages=60)
    with ScriptedServer(slowly) as server:
        running = start_client(folder, output, server.url, *DPI, "--in-flight", 2, "--loaders", 1)
        wait_until(lambda: count_answers(output) and sum(row["state"] == "ok" for row in rows(output).values()) >= 10)
        left_behind = processes_below(running.pid, RENDERER)
        running.send(signal.SIGKILL)
        assert finish(running)[0] == -signal.SIGKILL
        assert 10 <= count_answers(output) < 60
        assert read(folder, output, server.url, *DPI) == 0
        assert read(folder, tmp_path / "undisturbed", server.url, *DPI) == 0
    assert left_behind
    wait_until(lambda: not any(child.is_running() for child in left_behind), 20)
    counts = assert_adds_up(output)
    assert (counts["inputs"], counts["skipped"] > 0) == (len(ids), True)
    assert answers(output) == answers(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_loader_killed_in_mid_document_loses_no_page(folder, output):
    ids = write_documents(folder, pdf_pages=120)
    with ScriptedServer(slowly) as server:
        running = start_client(folder, output, server.url, *DPI, "--loaders", 1, "--batch", 4, "--in-flight", 4)
        wait_until(lambda: count_answers(output) >= 5)
        (renderer,) = processes_below(running.pid, RENDERER)
        os.kill(renderer.ppid(), signal.SIGKILL)
        code, said = finish(running)
    assert code == 0, said
    assert "reading on in this one" in said
    assert assert_adds_up(output)["ok"] == len(ids)
    assert set(server.seen.values()) == {1}


def test_a_page_of_another_resolution_is_refused_before_anything_is_sent(folder, output, capsys):
    write_documents(folder)
    with ScriptedServer() as server:
        assert read(folder, output, server.url, *DPI) == 0
        sent = sum(server.seen.values())
        before = answers(output)
        assert read(folder, output, server.url, "--dpi", 100) == 2
        assert (sum(server.seen.values()), answers(output)) == (sent, before)
        assert read(folder, output, server.url, "--dpi", 100, "--overwrite") == 0
    assert report(output)["settings"]["dpi"] == 100


@pytest.mark.parametrize("dpi", [35, 1201, 0])
def test_a_resolution_out_of_range_is_wrong_usage(folder, output, dpi):
    assert read(folder, output, "http://127.0.0.1:9", "--dpi", dpi) == 2
    assert not output.exists()


def test_a_page_too_large_for_the_service_is_rendered_at_less_and_the_log_says_so(folder, output, caplog):
    (folder / "poster.pdf").write_bytes(pdf_of([Image.new("L", (1500, 1500), 255)]))
    with ScriptedServer() as server:
        assert read(folder, output, server.url, "--dpi", 600) == 0
    assert "poster.pdf#1: rendered at 479.7 dpi: at 600 it would be larger" in caplog.text


def test_a_document_that_shrinks_loses_pages_answers_and_exports(folder, output):
    write_documents(folder)
    with ScriptedServer(sized) as server:
        assert read(folder, output, server.url, *DPI, "--formats", "txt") == 0
        first = exported(output)
        (folder / "a.pdf").write_bytes(pdf_of(scans(2, first=30)))
        assert read(folder, output, server.url, *DPI, "--limit", 1) == 0
        assert "sub/b.tiff#3" in answers(output)
        assert read(folder, output, server.url, *DPI, "--formats", "txt") == 0
    pages = {page_id for page_id in answers(output) if page_id.startswith("a.pdf")}
    assert pages == {"a.pdf#1", "a.pdf#2"}
    assert set(exported(output)) == set(first)
    assert exported(output)["txt/a.pdf.txt"].count(b"\f") == 2
    assert_adds_up(output)


def sized(request):
    """Answer as the service does for a page of this size."""
    document = json.loads(page_answer(request).body) | {"width_px": SIZE[0], "height_px": SIZE[1]}
    return Reply(200, json.dumps(document).encode())


def test_a_documents_outputs_come_together_and_again_to_the_same_bytes(folder, output):
    write_documents(folder)
    formats = "txt,md,hocr,alto,pdf,parquet,csv,jsonl,dolma"
    with ScriptedServer(sized) as server:
        assert read(folder, output, server.url, *DPI, "--formats", formats) == 0
    made = exported(output)
    assert {"pdf/a.pdf", "pdf/sub/b.tiff.pdf", "pdf/c.tif.pdf", "pdf/d.png.pdf"} < set(made)
    assert made["txt/a.pdf.txt"].count(b"\f") == 12
    (output / "exports/pdf/a.pdf").rename(output / "exports/pdf/a.pdf.pdf")
    (output / "exports/pdf/a.pdf.pdf").write_bytes(pdf_of(scans(12)))  # as an earlier version left it
    assert export(output, formats) == 0
    assert exported(output) == made


@pytest.mark.slow
def test_without_pypdfium2_pdfs_fail_clearly_images_are_read_and_the_next_run_reads_the_pdfs(folder, output, tmp_path):
    ids = write_documents(folder)
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "pypdfium2.py").write_text("raise ModuleNotFoundError('none', name='pypdfium2')")
    command = [sys.executable, "-m", "quintet_client.cli", "read", str(folder), str(output), "--loaders", "1", *DPI]
    with ScriptedServer() as server:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "lacking")}
        done = subprocess.run([*command, "--server", server.url], env=environment, capture_output=True, check=False)
        assert done.returncode == 3, done.stderr
        assert report(output)["errors"] == {"RENDERER_MISSING": 1}
        assert "pip install 'quintet[bulk]'" in rows(output)["a.pdf"]["message"]
        assert len(answers(output)) == 7
        assert read(folder, output, server.url, *DPI) == 0
    assert set(rows(output)) == set(answers(output)) == ids
