"""Pages of documents in the service's codecs: pixels as a viewer shows them, within limits; every page ends."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from PIL import Image
from quintet.errors import Code, Failure
from quintet.pages.settings import Settings
from quintet.pixels.codec_messages import PageRange
from quintet.pixels.codec_processes import CodecProcesses, EncodedPage
from quintet.pixels.documents.pages import is_document
from quintet.pixels.page_memory import PageMemory

from tests.conftest import draw_page, encode
from tests.family import processes_below
from tests.unit.documents.made_documents import (
    drawn,
    encrypted_pdf,
    endless_pdf,
    growing_pdf,
    marked_pdf,
    pdf_of,
    tiff_of,
)

SHEETS = [draw_page([f"Sheet {number}"], (400, 200)) for number in (1, 2, 3)]
ALL = PageRange(1, 1000, 50, 72)
Pages = dict[int, "np.ndarray | Failure"]


@pytest.fixture(scope="module")
def codecs() -> Iterator[CodecProcesses]:
    yield (made := CodecProcesses(Settings(), 1 << 31, 20.0))
    del made


def pixels(codecs: CodecProcesses, page: EncodedPage | Failure) -> np.ndarray | Failure:
    """(H, W, 3)."""
    if isinstance(page, Failure):
        return page
    memory = PageMemory(page.size_px[0] * page.size_px[1])
    size_px = codecs.load(page, memory, 0)
    return size_px if isinstance(size_px, Failure) else memory.words.view(np.uint8).reshape(*size_px[::-1], 4)[..., :3]


def read(codecs: CodecProcesses, body: bytes, asked: PageRange = ALL) -> Pages | Failure:
    opened = codecs.open_document(body, asked)
    return opened if isinstance(opened, Failure) else {n: pixels(codecs, page) for n, page in opened[1].items()}


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "CMYK", "RGBA"])
def test_images_of_a_tiff_are_its_pages_pixel_by_pixel(codecs: CodecProcesses, mode: str) -> None:
    found = read(codecs, tiff_of([sheet.convert(mode) for sheet in SHEETS]))
    assert list(found) == [1, 2, 3]
    for page, sheet in zip(found.values(), SHEETS, strict=True):
        assert np.array_equal(page, np.asarray(sheet.convert(mode).convert("RGB")))


def test_a_page_of_a_tiff_that_a_tag_turns_is_turned(codecs: CodecProcesses) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    found = read(codecs, tiff_of(SHEETS[:2], exif=turned))
    assert np.array_equal(found[1], np.asarray(SHEETS[0].rotate(-90, expand=True)))


def test_pages_of_a_pdf_are_rendered_at_the_resolution_that_is_asked_for(codecs: CodecProcesses) -> None:
    body = pdf_of(SHEETS)
    for dpi in (72, 144):
        found = read(codecs, body, PageRange(2, 2, 1, dpi))
        assert list(found) == [2]
        assert found[2].shape == (200 * dpi // 72, 400 * dpi // 72, 3)
    found = read(codecs, body)
    assert np.abs(found[3].astype(int) - np.asarray(SHEETS[2])).mean() < 1


def test_a_page_that_would_be_too_large_has_fewer_pixels(codecs: CodecProcesses) -> None:
    count, pages = codecs.open_document(pdf_of([drawn("a", (6000, 6000))]), PageRange(1, 1, 1, 1200))
    assert count == 1
    width, height = pages[1].size_px
    assert 0.99 * Settings().max_page_pixels < width * height <= Settings().max_page_pixels


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"%PDF-1.7 and nothing else", Code.DOCUMENT_DAMAGED),
        (encrypted_pdf(SHEETS, "a word"), Code.DOCUMENT_ENCRYPTED),
        (pdf_of([drawn("a", (20, 20))] * 51), Code.DOCUMENT_TOO_LONG),
    ],
    ids=["damaged", "encrypted", "too long"],
)
def test_a_document_that_cannot_be_opened_says_why(codecs: CodecProcesses, body: bytes, code: Code) -> None:
    found = read(codecs, body)
    assert isinstance(found, Failure)
    assert (found.code, bool(found.message)) == (code, True)


def test_what_is_wrong_with_a_page_stays_with_it(codecs: CodecProcesses) -> None:
    body = tiff_of(SHEETS)
    found = read(codecs, body[: len(body) * 2 // 3])
    assert np.array_equal(found[1], np.asarray(SHEETS[0]))
    assert {page.code for page in found.values() if isinstance(page, Failure)} == {Code.IMAGE_DECODE_FAILED}
    small = read(codecs, tiff_of([SHEETS[0], Image.new("L", (5, 5))]))
    assert isinstance(small[1], np.ndarray)
    assert small[2].code is Code.IMAGE_TOO_SMALL


def test_a_page_without_an_end_is_stopped_and_costs_nobody_else_anything() -> None:
    codecs = CodecProcesses(Settings(), 1 << 31, 2.0)
    _, pages = codecs.open_document(endless_pdf(), ALL)
    stopped = [page for page in (pixels(codecs, page) for page in pages.values()) if isinstance(page, Failure)]
    assert {page.code for page in stopped} == {Code.IMAGE_TOO_COMPLEX}
    assert isinstance(read(codecs, pdf_of(SHEETS))[1], np.ndarray)


def test_a_page_that_takes_all_memory_fails_alone(codecs: CodecProcesses) -> None:
    found = read(codecs, growing_pdf())
    assert found[1].code is Code.PAGE_NOT_RENDERED
    assert found[2].max() == 255
    codec_processes = processes_below(os.getpid(), "quintet.pixels.codec_child")
    assert all(isinstance(one, psutil.Process) and one.memory_info().rss < 300_000_000 for one in codec_processes)


def test_images_are_no_documents_even_if_they_speak_of_pdf() -> None:
    assert is_document(pdf_of(SHEETS))
    assert is_document(b"some header\n" + marked_pdf())
    assert is_document(tiff_of(SHEETS))
    comment = encode(SHEETS[0], "JPEG", comment=b"%PDF-1.7")
    assert b"%PDF-" in comment[:1024]
    assert not any(map(is_document, [comment, encode(SHEETS[0]), b"", b"words"]))
