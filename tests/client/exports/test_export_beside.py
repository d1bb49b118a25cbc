"""`quintet export --beside-input`: beside the files that were read, and over nobody else's."""

import tarfile

import pikepdf
import pytest
from quintet_client.cli import main
from quintet_client.output.ledger import Ledger

from tests.client.exports.exporting import export, exported, texts, two_words, write_images
from tests.client.reading import answers, read, report
from tests.client.scripted_server import ScriptedServer
from tests.unit.documents.made_documents import drawn, pdf_of

SIZE = (124, 175)  # that `two_words` answers
BESIDE = "txt,md,hocr,alto,pdf"


def write_inputs(folder):
    """A scan of one page as a PDF, and an image in a folder of its own."""
    (folder / "letter.pdf").write_bytes(pdf_of([drawn("one", SIZE)]))
    (folder / "sub").mkdir()
    drawn("two", SIZE).save(folder / "sub" / "scan.png")


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def finished(folder, output):
    """INPUT, and OUTPUT with its results; the service has gone."""
    write_inputs(folder)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url, "--dpi", 72) == 0
    return folder


def test_exports_lie_beside_the_files_that_were_read_and_nowhere_else(finished, output):
    before = files(finished)
    assert export(output, BESIDE, "--beside-input") == 0
    made = files(finished)
    suffixes = (".txt", ".md", ".hocr", ".alto.xml")
    named = {f"{name}{suffix}" for name in before for suffix in suffixes} | {"letter.ocr.pdf", "sub/scan.png.ocr.pdf"}
    assert set(made) == set(before) | named
    assert {name: made[name] for name in before} == before, "the originals are as they were"
    assert made["letter.pdf.txt"].decode() == f"{texts(output)['letter.pdf#1']}\n\f"
    assert exported(output) == {}
    assert export(output, BESIDE) == 0
    assert exported(output)["pdf/letter.pdf"] == made["letter.ocr.pdf"]
    assert export(output, BESIDE, "--beside-input") == 0
    assert files(finished) == made


def test_searchable_pdfs_beside_the_input_are_not_read(finished, output, tmp_path, caplog):
    assert export(output, BESIDE, "--beside-input") == 0
    pages = answers(output)
    with ScriptedServer(two_words) as server:
        assert read(finished, output, server.url, "--dpi", 72) == 0
        assert server.seen == {}
        assert "letter.ocr.pdf" in caplog.text
        assert read(finished, tmp_path / "other", server.url, "--dpi", 72) == 0
    assert answers(tmp_path / "other").keys() == pages.keys()
    assert report(output)["vanished"] == 0


def test_a_pdf_of_anybody_elses_is_read_whatever_it_is_called(finished, output, tmp_path):
    (finished / "book.ocr.pdf").write_bytes(pdf_of([drawn("three", SIZE)]))
    with ScriptedServer(two_words) as server:
        assert read(finished, tmp_path / "other", server.url, "--dpi", 72) == 0
    assert "book.ocr.pdf#1" in answers(tmp_path / "other")


@pytest.mark.parametrize("name", ["letter.pdf.txt", "letter.ocr.pdf"])
def test_a_file_of_anybody_elses_is_not_written_over(finished, output, caplog, name):
    (finished / name).write_bytes(b"the work of a year")
    assert export(output, BESIDE, "--beside-input") == 7
    assert (finished / name).read_bytes() == b"the work of a year"
    assert f"{name} is there, and no export of this document wrote it" in caplog.text
    assert (finished / "sub/scan.png.ocr.pdf").exists()
    (finished / name).unlink()
    assert export(output, BESIDE, "--beside-input") == 0


def test_a_link_is_not_written_through(finished, output, tmp_path):
    (tmp_path / "precious").write_bytes(b"the work of a year")
    (finished / "letter.pdf.txt").symlink_to(tmp_path / "precious")
    assert export(output, "txt", "--beside-input") == 7
    assert (tmp_path / "precious").read_bytes() == b"the work of a year"


def test_our_own_file_is_replaced_until_somebody_changes_it(finished, output, caplog):
    assert export(output, "txt", "--beside-input") == 0
    (first,) = (body for name, body in files(finished).items() if name == "letter.pdf.txt")
    drawn("another", SIZE).save(finished / "sub" / "scan.png")
    (finished / "letter.pdf").write_bytes(pdf_of([drawn("another", SIZE)]))
    with ScriptedServer(two_words) as server:
        assert read(finished, output, server.url, "--dpi", 72, "--overwrite") == 0
    (finished / "sub" / "scan.png.txt").write_bytes(b"corrected by hand")
    assert export(output, "txt", "--beside-input") == 7
    assert files(finished)["letter.pdf.txt"] not in {first, b""}
    assert files(finished)["sub/scan.png.txt"] == b"corrected by hand"
    assert "scan.png.txt is there" in caplog.text


def test_of_two_documents_that_want_one_name_one_gets_it_and_the_other_says_so(folder, output, caplog):
    (folder / "letter.pdf").write_bytes(pdf_of([drawn("one", SIZE)]))
    (folder / "letter.PDF").write_bytes(pdf_of([drawn("two", SIZE)]))
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url, "--dpi", 72) == 0
    assert export(output, "pdf", "--beside-input", "--writers", 1) == 7
    assert "letter.ocr.pdf is there" in caplog.text
    with pikepdf.open(folder / "letter.ocr.pdf") as made:
        assert len(made.pages) == 1


def test_what_lies_in_a_shard_or_is_gone_has_no_place_beside_it(folder, output, tmp_path, caplog):
    write_images(tmp_path, 1)
    with tarfile.open(folder / "shard.tar", "w") as tar:
        tar.add(tmp_path / "part0/page00.png", "page.png")
    write_images(folder, 2)
    with ScriptedServer(two_words) as server:
        assert read(folder, output, server.url) == 0
    (folder / "part1/page01.png").unlink()
    assert export(output, "txt", "--beside-input") == 7
    assert "shard.tar, with no folder beside it" in caplog.text
    assert "page01.png could not be exported as txt: the file it was read from is not known or not there" in caplog.text
    assert (folder / "part0/page00.png.txt").exists()


def test_a_place_that_cannot_be_written_fails_its_own_document(finished, output, caplog):
    (finished / "sub" / "scan.png.txt").mkdir()
    (finished / "sub" / ("long" * 61 + ".png")).write_bytes((finished / "sub/scan.png").read_bytes())
    with ScriptedServer(two_words) as server:
        assert read(finished, output, server.url, "--dpi", 72) == 0
    assert export(output, "txt,alto", "--beside-input") == 7
    assert "scan.png.txt cannot be written (Is a directory)" in caplog.text
    assert ".png.alto.xml cannot be written (File name too long)" in caplog.text
    assert (finished / "letter.pdf.txt").exists()
    assert (finished / "sub" / ("long" * 61 + ".png.txt")).exists()


def test_an_input_in_a_store_has_no_folders(finished, output, caplog):
    with Ledger.open(output / "ledger.sqlite") as ledger:
        ledger.note("inputs", '["s3://bucket/scans"]')
    assert export(output, "txt", "--beside-input") == 2
    assert "INPUT s3://bucket/scans has no folders to write beside" in caplog.text


def test_a_moved_input_gets_its_exports_where_it_is_now(finished, output, tmp_path):
    finished.rename(tmp_path / "moved")
    assert export(output, "txt", "--beside-input", "--input", tmp_path / "moved") == 0
    assert (tmp_path / "moved/letter.pdf.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "txt,csv"], "--beside-input writes txt,md,hocr,alto,pdf; export csv in a call without it"),
        (["--to", "redacted"], "export redacted in a call without it"),
        (["--to", "txt", "--into", "x"], "leave --into out"),
        (["--to", "txt", "--input", "s3://bucket/scans"], "--input an address"),
    ],
)
def test_wrong_usage_says_what_is_wrong(output, caplog, arguments, message):
    assert main(["export", str(output), *arguments, "--beside-input"]) == 2
    assert message in caplog.text
