"""PDFs, TIFFs and images through the real service, into every format, and through shared memory."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import closing

import pypdfium2
import pytest
from PIL import Image, ImageDraw, ImageFont
from quintet_client.input.own_pdfs import derived_pdf

from benchmarks.score import score_words
from tests.client.exports.exporting import export, exported
from tests.client.inputs.bad_pages import drawn
from tests.client.reading import answers, assert_adds_up, read, rows
from tests.unit.documents.made_documents import encrypted_pdf, pdf_of, tiff_of

FORMATS = "txt,md,hocr,alto,pdf,parquet,csv"
PDF_PAGES, TIFF_PAGES, IMAGES = 5, 3, 4
PAGES = PDF_PAGES + TIFF_PAGES + IMAGES


def page(number: int) -> Image.Image:
    """A small page of two lines with words of its own."""
    made = Image.new("L", (420, 200), 255)
    pen, font = ImageDraw.Draw(made), ImageFont.load_default(size=28)
    pen.text((30, 40), f"Invoice {7000 + 37 * number}", fill=0, font=font)
    pen.text((30, 110), f"Total {13 * number + 100} EUR", fill=0, font=font)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("documents")
    (made / "scans").mkdir()
    (made / "scans" / "letters.pdf").write_bytes(pdf_of([page(number) for number in range(PDF_PAGES)]))
    (made / "fax.tiff").write_bytes(tiff_of([page(50 + number) for number in range(TIFF_PAGES)]))
    (made / "broken.pdf").write_bytes(b"%PDF-1.7\nno more of this")
    (made / "locked.pdf").write_bytes(encrypted_pdf([drawn("L")], "secret"))
    for number in range(IMAGES):
        page(100 + number).save(made / f"image{number:02}.png")
    return made


@pytest.fixture(scope="module")
def first(service, folder, tmp_path_factory):
    """One run into every format; gives its output."""
    output = tmp_path_factory.mktemp("read") / "out"
    assert read_here(service, folder, output, "--formats", FORMATS) == 3
    return output


def read_here(service, folder, output, *options):
    return read(folder, output, service.inference_url, "--token-file", service.token_file, *options)


def pages_of(output, document):
    """The texts of a document's pages, in order."""
    found = {int(page_id.rsplit("#", 1)[1]): json.loads(answer)["text"]
             for page_id, answer in answers(output).items() if page_id.startswith(f"{document}#")}  # fmt: skip
    return [found[number] for number in sorted(found)]


def test_every_page_has_its_end_and_the_account_adds_up(first):
    counts = assert_adds_up(first)
    assert (counts["inputs"], counts["ok"], counts["failed"]) == (PAGES + 2, PAGES, 2)
    failed = {page_id: row["code"] for page_id, row in rows(first).items() if row["state"] == "failed"}
    assert failed == {"broken.pdf": "DOCUMENT_DAMAGED", "locked.pdf": "DOCUMENT_ENCRYPTED"}
    assert counts["exports"] == {
        "exported": 2 + IMAGES, "unread": 2, "pending": 0, "failed_outputs": 0, "ended_early": ""
    }  # fmt: skip


def test_every_page_says_what_is_on_it(first):
    expected = [f"Invoice {7000 + 37 * number}" for number in (*range(PDF_PAGES), *range(50, 50 + TIFF_PAGES))]
    read_texts = [*pages_of(first, "scans/letters.pdf"), *pages_of(first, "fax.tiff")]
    assert [text.splitlines()[0] for text in read_texts] == expected


def test_every_format_holds_the_documents_whole(first):
    made = exported(first)
    assert {"pdf/scans/letters.pdf", "pdf/fax.tiff.pdf"} < set(made)
    suffixes = {"txt": ".txt", "md": ".md", "hocr": ".hocr", "alto": ".alto.xml"}
    for form, suffix in suffixes.items():
        assert {f"{form}/scans/letters.pdf{suffix}", f"{form}/fax.tiff{suffix}"} < set(made)
        assert sum(path.startswith(f"{form}/") for path in made) == 2 + IMAGES
    assert {f"{table}.{form}" for table in ("pages", "lines", "words") for form in ("csv", "parquet")} < set(made)
    assert made["txt/scans/letters.pdf.txt"].count(b"\f") == PDF_PAGES
    assert made["hocr/fax.tiff.hocr"].count(b'class="ocr_page"') == TIFF_PAGES
    assert made["pages.csv"].count(b"DOCUMENT_ENCRYPTED") == 1


@pytest.mark.parametrize(("document", "pages"), [("scans/letters.pdf", PDF_PAGES), ("fax.tiff", TIFF_PAGES)])
def test_searchable_pdfs_hold_the_words_that_were_read(first, tmp_path, document, pages):
    path = first / "exports" / "pdf" / derived_pdf(document)
    with closing(pypdfium2.PdfDocument(path)) as pdf:
        by_pdfium = [one.get_textpage().get_text_range() for one in pdf]
    assert len(by_pdfium) == pages
    for read_text, copied in zip(pages_of(first, document), by_pdfium, strict=True):
        assert score_words([read_text], [copied]).f1 >= 0.97
    if shutil.which("pdftotext"):
        text = subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True, text=True).stdout
        assert score_words(pages_of(first, document), [text]).f1 >= 0.97


def test_exporting_again_changes_no_byte_and_reading_again_skips_all(service, folder, first):
    made, before = exported(first), answers(first)
    assert export(first, FORMATS) == 0
    assert exported(first) == made
    assert read_here(service, folder, first, "--formats", FORMATS) == 3
    assert (answers(first), exported(first)) == (before, made)
    assert assert_adds_up(first)["skipped"] == PAGES + 2


def test_through_shared_memory_pages_of_documents_get_the_same_answers(service, folder, first, tmp_path):
    assert read_here(service, folder / "scans", tmp_path / "out", "--shared-memory") == 0
    assert pages_of(tmp_path / "out", "letters.pdf") == pages_of(first, "scans/letters.pdf")
