"""What the real chain reads, as searchable PDFs: each word is given back."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path
from statistics import fmean

import pypdfium2
import pytest
from quintet.pages.chain import PageChain
from quintet_client.api.results import PageResult
from quintet_client.exports.documents import Document, DocumentPage, clean_page
from quintet_client.exports.layout.blocks import box_around
from quintet_client.exports.pdf import searchable as pdf

from benchmarks.sample_pages.generate import main as generate
from tests.unit.exports.made_pdfs import overlap, word_boxes

GENERATED = 6


@pytest.fixture(scope="module")
def pages(chain: PageChain, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, PageResult]:
    """Generated pages of all kinds, skewed and turned."""
    folder = tmp_path_factory.mktemp("pages")
    generate([str(folder), "--pages", str(GENERATED), "--seed", "11", "--scale", "0.8"])
    files = sorted(folder.glob("page-*"))
    head = {"schema": chain.schema, "model": chain.fingerprint}
    answers = [{**head, **answer} for answer in chain([file.read_bytes() for file in files])]
    return {file: clean_page(answer) for file, answer in zip(files, answers, strict=True)}


def searchable(file: Path, page: PageResult) -> bytes:
    return pdf.render(
        Document(file.name, (DocumentPage(file.name, 1, "ok", page),), file.read_bytes, file.stat().st_size)
    )


def word_f1(told: str, truth: str) -> float:
    """Word-bag F1 of two texts, words as white space cuts them."""
    first, second = Counter(told.split()), Counter(truth.split())
    return 2 * (first & second).total() / (first.total() + second.total())


def test_selecting_a_word_selects_that_word(pages):
    """By PDFium's boxes of characters: each word of the result stands in the PDF where the result has it."""
    ious = []
    for file, page in pages.items():
        selected = word_boxes(searchable(file, page))
        for word in (word for line in page.lines for word in line.words):
            x0, y0, x1, y1 = box_around(word.quad_px)
            box = (x0 / page.width_px, y0 / page.height_px, x1 / page.width_px, y1 / page.height_px)
            ious.append(max((overlap(box, other) for text, other in selected if text == word.text), default=0.0))
    assert len(ious) > 400
    assert fmean(ious) >= 0.9
    assert fmean(iou >= 0.5 for iou in ious) >= 0.99


def test_pdfium_gives_the_words_back(pages):
    for file, page in pages.items():
        with pypdfium2.PdfDocument(searchable(file, page)) as opened:
            assert word_f1(opened[0].get_textpage().get_text_range(), page.text) >= 0.97, file.name


def test_pdftotext_gives_the_words_back(pages, tmp_path):
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (poppler-utils)")
    for file, page in pages.items():
        (tmp_path / "made.pdf").write_bytes(searchable(file, page))
        told = subprocess.run(["pdftotext", tmp_path / "made.pdf", "-"], capture_output=True, check=True, text=True)
        assert word_f1(told.stdout, page.text) >= 0.97, file.name


def test_turned_pages_show_upright(pages):
    turned = {file: page for file, page in pages.items() if page.orientation.angle_deg}
    assert turned, "the seed draws turned pages"
    for file, page in turned.items():
        with pypdfium2.PdfDocument(searchable(file, page)) as opened:
            assert opened[0].get_rotation() == (360 - page.orientation.angle_deg) % 360, file.name
