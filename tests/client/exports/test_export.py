"""`quintet export` and `quintet read --formats`, over results that a scripted server answers."""

import io
import os
import subprocess
import sys
import time
from contextlib import closing

import pypdfium2
import pytest
from quintet_client.cli import main
from quintet_client.exports.formats import plain
from quintet_client.output.folder import Output
from quintet_client.output.formats import FORMATS
from quintet_client.output.ledger import Ledger, Row
from quintet_client.service.documents import PAGE_SCHEMA

from tests.client.exports.exporting import export, exported, failing, texts, two_words, write_images
from tests.client.reading import CLIENT_ROOT, answers, read, report, rows
from tests.client.scripted_server import ScriptedServer
from tests.unit.documents.made_documents import drawn, encrypted_pdf

ALL = ",".join(form.name for form in FORMATS if form.schema in {PAGE_SCHEMA, ""})


def test_finished_results_are_exported_in_every_format_and_again_to_the_same_bytes(folder, output, capsys):
    write_images(folder, 6)
    (folder / "part0" / "bad.png").write_bytes(b"no image")
    with ScriptedServer(failing) as server:
        assert read(folder, output, server.url) == 3
    assert export(output, ALL) == 0
    assert "documents exported 6, without a page that was read 1" in capsys.readouterr().out
    first = exported(output)
    suffixes = {"txt": ".txt", "md": ".md", "hocr": ".hocr", "alto": ".alto.xml", "pdf": ".pdf"}
    documents = {f"{form}/{page}{suffix}" for form, suffix in suffixes.items() for page in answers(output)}
    assert set(first) == documents | {path for form in FORMATS for path in form.files}
    for page, text in texts(output).items():
        assert first[f"txt/{page}.txt"].decode() == f"{text}\n"
        with closing(pypdfium2.PdfDocument(first[f"pdf/{page}.pdf"])) as pdf:
            assert pdf[0].get_textpage().get_text_range().split() == text.split()
    assert b"part0/bad.png,part0/bad.png,1,failed,UNSUPPORTED_FORMAT" in first["pages.csv"]
    assert export(output, ALL) == 0
    assert exported(output) == first


def test_exports_during_a_run_are_those_made_afterwards(folder, output):
    write_images(folder, 12)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url, "--formats", ALL) == 0
    during = exported(output)
    counts = report(output)["exports"]
    assert counts == {"exported": 12, "unread": 0, "pending": 0, "failed_outputs": 0, "ended_early": ""}
    assert len(during) == 12 * 5 + 8
    assert export(output, ALL) == 0
    assert exported(output) == during


def test_locked_pdfs_are_exported_with_their_passwords_while_they_are_read_and_later(folder, output, tmp_path):
    (folder / "locked.pdf").write_bytes(encrypted_pdf([drawn("a"), drawn("b")], "secret"))
    passwords = tmp_path / "passwords"
    passwords.touch(0o600)
    passwords.write_text("secret\n")
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url, "--formats", "pdf", "--password-file", passwords) == 0
    during = exported(output)
    assert list(during) == ["pdf/locked.pdf"]
    assert export(output, "pdf") == 7
    (output / "exports" / "pdf" / "locked.pdf").unlink()
    assert export(output, "pdf", "--password-file", passwords) == 0
    assert exported(output) == during


def test_a_run_misses_no_export_of_a_file_that_is_gone(folder, output):
    write_images(folder, 3)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url) == 0
        (folder / "part0" / "page00.png").unlink()
        assert read(folder, output, server.url, "--formats", "pdf") == 0
    assert len(exported(output)) == 2


def test_a_later_run_exports_what_an_earlier_one_did_not(folder, output):
    write_images(folder, 4)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url) == 0
        assert not (output / "exports").exists()
        assert read(folder, output, server.url, "--formats", "txt,csv") == 0
    assert report(output)["exports"]["exported"] == 4
    assert len(exported(output)) == 4 + 3


def test_an_export_that_fails_costs_no_page_and_is_made_later(folder, output, monkeypatch, capsys):
    write_images(folder, 5)

    def broken(document):
        if document.name.endswith("page03.png"):
            raise ValueError("no such luck")
        return render(document)

    render = plain.render
    monkeypatch.setattr(plain, "render", broken)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url, "--formats", "txt,md") == 7
    assert report(output)["ok"] == 5
    assert report(output)["exports"]["failed_outputs"] == 1
    assert "exports: 5 made, 1 outputs failed" in capsys.readouterr().out
    assert {row["state"] for row in rows(output).values()} == {"ok"}
    assert set(exported(output)) >= {"md/part1/page03.png.md"}
    assert "txt/part1/page03.png.txt" not in exported(output)
    assert export(output, "txt") == 7
    monkeypatch.setattr(plain, "render", render)
    assert export(output, "txt") == 0
    assert "txt/part1/page03.png.txt" in exported(output)


def test_an_exports_folder_that_cannot_be_written_costs_no_page(folder, output, caplog):
    write_images(folder, 8)
    output.mkdir()
    (output / "exports").write_bytes(b"a file where a folder should be")
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url, "--formats", "txt,csv") == 7
    assert report(output)["ok"] == 8
    assert "cannot be written" in report(output)["exports"]["ended_early"]
    assert "no more exports" in caplog.text
    (output / "exports").unlink()
    assert export(output, "txt,csv") == 0
    assert len(exported(output)) == 8 + 3


def test_a_page_read_again_loses_the_exports_of_its_earlier_answer(folder, output):
    write_images(folder, 2)
    with ScriptedServer(failing) as server:
        assert read(folder, output, server.url, "--formats", "txt,pdf") == 0
        changed = folder / "part0" / "page00.png"
        changed.write_bytes(b"no image any more")
        assert read(folder, output, server.url) == 3
        assert set(exported(output)) == {"txt/part1/page01.png.txt", "pdf/part1/page01.png.pdf"}
        assert read(folder, output, server.url, "--overwrite") == 3
    assert exported(output) == {}


def test_the_original_is_found_again_where_input_says_it_is(folder, output, tmp_path, capsys):
    write_images(folder, 2)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url) == 0
    folder.rename(tmp_path / "moved")
    assert export(output, "txt,pdf") == 7
    assert "2 outputs could not be made" in capsys.readouterr().out
    assert {path.split("/")[0] for path in exported(output)} == {"txt"}
    assert export(output, "pdf", "--input", tmp_path / "moved") == 0
    assert sum(path.startswith("pdf/") for path in exported(output)) == 2


def test_pages_of_a_document_are_exported_together_once_all_have_their_end(output, folder):
    write_images(folder, 1)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url) == 0
    answer = (output / "pages/part0/page00.png.json").read_bytes()
    made = Output(output)
    ends = {f"doc.pdf#{number}": "ok" for number in (1, 2, 10)} | {"doc.pdf#3": "failed", "late.pdf#1": "ok"}
    for page, state in ends.items():
        if state == "ok":
            made.write_page(page, answer)
    with Ledger.open(made.ledger) as ledger:
        ledger.record(Row(page, state, code="TIMEOUT", output_bytes=len(answer)) for page, state in ends.items())
        ledger.record([Row("late.pdf#2", "sent")])
    assert export(output, "txt") == 0
    text = texts(output)["doc.pdf#1"]
    assert (
        exported(output)["txt/doc.pdf.txt"].decode()
        == f"{text}\n\f" * 2 + f"[page 3 was not read: TIMEOUT]\n\f{text}\n\f"
    )
    assert "txt/late.pdf.txt" not in exported(output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "docx"], "there is no format 'docx'"),
        (["--to", ","], "names no format"),
        (["--to", "txt", "--writers", "0"], "--writers is 0"),
        (["--to", "txt", "--input", "nowhere"], "--input nowhere does not exist"),
        (["--to", "txt"], "holds no results"),
    ],
)
def test_wrong_usage_says_what_is_wrong_and_makes_nothing(output, caplog, arguments, message):
    assert main(["export", str(output), *arguments]) == 2
    assert message in caplog.text
    assert not output.exists()


def test_a_wrong_format_ends_a_run_before_it_begins(folder, output, caplog):
    assert main(["read", str(folder), str(output), "--formats", "txt,doc"]) == 2
    assert "there is no format 'doc'" in caplog.text
    assert not output.exists()


def test_an_output_that_cannot_be_written_is_said(folder, output, caplog):
    write_images(folder, 1)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url) == 0
    (output / "exports").write_bytes(b"a file where a folder should be")
    assert export(output, "txt") == 6
    assert "cannot be written" in caplog.text
    assert export(output, "csv") == 6


def test_another_client_in_the_output_is_respected(folder, output, caplog):
    write_images(folder, 1)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url) == 0
    hold = "import sys; from pathlib import Path; from quintet_client.output.folder import Output\n"
    hold += "with Output(Path(sys.argv[1])).claim(): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(output)]
    environment = {**os.environ, "PYTHONPATH": str(CLIENT_ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout.readline() == "held\n"
        assert export(output, "txt") == 6
        holder.communicate("")
    assert "another client is writing" in caplog.text
    assert export(output, "txt") == 0


def test_the_client_exports_without_torch(folder, output):
    write_images(folder, 1)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url) == 0
    code = "import sys; sys.modules['torch'] = None; from quintet_client.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "export", str(output), "--to", ALL]
    begin = time.monotonic()
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(CLIENT_ROOT)}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert time.monotonic() - begin < 30
    assert io.BytesIO(exported(output)["pdf/part0/page00.png.pdf"]).read(5) == b"%PDF-"
