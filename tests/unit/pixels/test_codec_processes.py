"""Codecs in processes of their own: the same pixels as in ours, and an end for every image."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from quintet.errors import Code, Failure
from quintet.pages.settings import Settings
from quintet.pixels.codec_processes import CodecProcesses, EncodedPage
from quintet.pixels.images import MAX_JPEG_SCANS, decode_image
from quintet.pixels.page_memory import PageMemory

from tests.conftest import draw_page, encode
from tests.family import processes_below
from tests.fuzz.bombs import (
    gif_of_screen,
    jpeg_of_scans,
    jpeg_of_segments,
    png_of_chunks,
    tiff_of_one_tile,
    tiff_of_strips,
    webp_of_canvas,
)
from tests.heif import heif_of

SETTINGS = Settings()
CHILD = "quintet.pixels.codec_child"
PAGE = draw_page(["codec"], (1300, 900))  # more than one strip of a conversion
TURNED = Image.Exif()
TURNED[0x0112] = 6
DEEP = PAGE.convert("L").convert("I").point(lambda value: value * 257).convert("I;16")
KINDS = {
    "jpeg": encode(PAGE, "JPEG"),
    "progressive": encode(PAGE, "JPEG", progressive=True),
    "grey": encode(PAGE.convert("L"), "JPEG"),
    "cmyk": encode(PAGE.convert("CMYK"), "JPEG"),
    "turned": encode(PAGE, "JPEG", exif=TURNED),
    "png": encode(PAGE),
    "16 bits": encode(DEEP),
    "palette": encode(PAGE.convert("P"), transparency=3),
    "transparent": encode(Image.merge("RGBA", (*PAGE.split(), Image.linear_gradient("L").resize(PAGE.size)))),
    "grey, transparent": encode(PAGE.convert("LA")),
    "bits": encode(PAGE.convert("1"), "TIFF", compression="group4"),
    "lab": encode(PAGE.resize((130, 90)).convert("LAB"), "TIFF"),
    "webp": encode(PAGE, "WEBP"),
    "bmp": encode(PAGE, "BMP"),
    "gif": encode(PAGE, "GIF"),
    "jpeg 2000": encode(PAGE, "JPEG2000"),
    "jpeg 2000, 16 bits": encode(DEEP, "JPEG2000"),
    "avif": encode(PAGE, "AVIF"),
    "avif, turned": encode(PAGE, "AVIF", exif=TURNED.tobytes()),
    "heif": heif_of(PAGE),
    "heif, turned": heif_of(PAGE, exif=TURNED.tobytes()),
}


def declared(body: bytes, box: bytes, form: str, side_px: int) -> bytes:
    """An image that says that its sides are so long, in all boxes of a kind."""
    changed, at = bytearray(body), body.index(box)
    while at >= 0:
        struct.pack_into(form, changed, at + len(box), side_px, side_px)
        at = body.find(box, at + 1)
    return bytes(changed)


def processes(max_bytes: int = 1 << 31, decode_s: float = 20.0) -> CodecProcesses:
    return CodecProcesses(SETTINGS, max_bytes, decode_s)


def read(codecs: CodecProcesses, body: bytes) -> np.ndarray | Failure:
    """The pixels of a body, (H, W, 3)."""
    page = codecs.open(body)
    if isinstance(page, Failure):
        return page
    memory = PageMemory(page.size_px[0] * page.size_px[1])
    size_px = codecs.load(page, memory, 0)
    return size_px if isinstance(size_px, Failure) else memory.words.view(np.uint8).reshape(*size_px[::-1], 4)[..., :3]


def ours() -> list[psutil.Process]:
    return processes_below(os.getpid(), CHILD)


@pytest.fixture(scope="module")
def codecs() -> Iterator[CodecProcesses]:
    yield (made := processes())
    del made


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_that_a_codec_in_our_own_process_gives(codecs: CodecProcesses, kind: str) -> None:
    found = read(codecs, KINDS[kind])
    assert isinstance(found, np.ndarray)
    assert np.array_equal(found, np.asarray(decode_image(KINDS[kind], SETTINGS)))


def test_pages_stand_one_behind_the_other_in_the_memory_of_their_batch(codecs: CodecProcesses) -> None:
    pages = [codecs.open(KINDS[kind]) for kind in ("png", "jpeg")]
    begin = -(-1300 * 900 // 1024) * 1024
    memory = PageMemory(2 * begin)
    for page, at in zip(pages, (0, begin), strict=True):
        assert isinstance(page, EncodedPage)
        assert codecs.load(page, memory, at) == (1300, 900)
    for kind, at in (("png", 0), ("jpeg", begin)):
        words = memory.words[at : at + 1300 * 900].view(np.uint8).reshape(900, 1300, 4)
        assert np.array_equal(words[..., :3], np.asarray(decode_image(KINDS[kind], SETTINGS)))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (jpeg_of_scans((800, 800), MAX_JPEG_SCANS + 1), Code.IMAGE_TOO_COMPLEX),
        (jpeg_of_scans((9_990, 9_990), 300), Code.IMAGE_TOO_COMPLEX),
        (tiff_of_one_tile(20_000), Code.IMAGE_TOO_LARGE),
        (webp_of_canvas(16_000), Code.IMAGE_TOO_LARGE),
        (gif_of_screen(60_000), Code.IMAGE_TOO_LARGE),
        (declared(KINDS["jpeg 2000"], b"ihdr", ">II", 20_000), Code.IMAGE_TOO_LARGE),
        (declared(KINDS["jpeg 2000"], b"ihdr", ">II", 6_000), Code.IMAGE_DECODE_FAILED),
        (declared(KINDS["jpeg 2000"], b"\xff\x51", ">xxxxII", 9_000), Code.IMAGE_DECODE_FAILED),
        (declared(KINDS["avif"], b"ispe", ">xxxxII", 16_000), Code.IMAGE_TOO_LARGE),
        (declared(KINDS["heif"], b"ispe", ">xxxxII", 20_000), Code.IMAGE_TOO_LARGE),
        (declared(KINDS["heif"], b"ispe", ">xxxxII", 9_000), Code.IMAGE_DECODE_FAILED),
        (b"", Code.EMPTY_BODY),
        (b"no image", Code.UNSUPPORTED_FORMAT),
        (KINDS["png"][:3000], Code.IMAGE_DECODE_FAILED),
        (encode(Image.new("L", (1, 1))), Code.IMAGE_TOO_SMALL),
    ],
    ids=range(15),
)
def test_a_bad_image_has_its_own_code_and_the_next_one_is_read(codecs: CodecProcesses, body: bytes, code: Code) -> None:
    found = read(codecs, body)
    assert isinstance(found, Failure)
    assert found.code is code
    assert isinstance(read(codecs, KINDS["jpeg"]), np.ndarray)


@pytest.mark.parametrize("body", [png_of_chunks(200_000), tiff_of_strips(300_000)], ids=["header", "pixels"])
def test_an_image_that_takes_longer_than_its_size_allows_is_stopped(body: bytes) -> None:
    codecs = processes(decode_s=2.0)  # and a tenth for a header or a small image
    found = read(codecs, body)
    assert isinstance(found, Failure)
    assert found.code is Code.IMAGE_TOO_COMPLEX
    assert isinstance(read(codecs, KINDS["jpeg"]), np.ndarray)


def test_a_process_that_has_no_memory_left_even_for_its_words_says_so_all_the_same() -> None:
    codecs = processes()
    assert not isinstance(read(codecs, encode(PAGE, "JPEG")), Failure)
    before = ours()
    # Each ends in the middle of another allocation.
    for count in range(1_000_000, 1_300_000, 50_000):
        refused = codecs.open(jpeg_of_segments(count))
        assert isinstance(refused, Failure)
        assert refused.code is Code.IMAGE_TOO_LARGE
    assert ours() == before


def test_scans_are_those_of_the_image_and_not_what_looks_like_them_elsewhere(codecs: CodecProcesses) -> None:
    body = jpeg_of_scans((800, 800), MAX_JPEG_SCANS)
    film, thumbnails = b"\xff\xda" * 1000, b"\xff\xe1" + (2002).to_bytes(2, "big") + b"\xff\xda" * 1000
    assert isinstance(read(codecs, body[:2] + thumbnails + body[2:] + film), np.ndarray)


def test_an_image_that_takes_more_than_all_may_take_together_is_refused_before_it_is_decoded() -> None:
    found = processes(max_bytes=1 << 20).open(KINDS["png"])
    assert isinstance(found, Failure)
    assert found.code is Code.IMAGE_TOO_LARGE


def test_slow_formats_have_three_times_as_long_as_others(codecs: CodecProcesses) -> None:
    opened = [codecs.open(KINDS[kind]) for kind in ("png", "gif", "jpeg 2000", "avif", "heif")]
    assert [page.decode_times for page in opened if isinstance(page, EncodedPage)] == [1, 1, 3, 3, 3]


def test_a_process_that_was_killed_costs_no_page() -> None:
    codecs, before = processes(), ours()
    assert isinstance(read(codecs, KINDS["png"]), np.ndarray)
    (codec,) = (one for one in ours() if one not in before)
    codec.kill()
    assert isinstance(read(codecs, KINDS["png"]), np.ndarray)


def test_processes_end_with_whoever_asks_them() -> None:
    before = ours()
    codecs = processes()
    read(codecs, KINDS["png"])
    assert len(ours()) == len(before) + 1
    del codecs
    assert ours() == before


def test_the_system_has_the_memory_back_when_nobody_looks_at_the_pixels_any_more() -> None:
    others, before = ours(), resident_bytes()
    codecs = processes()
    found = read(codecs, encode(Image.new("L", (5000, 5000))))
    assert isinstance(found, np.ndarray)
    assert found.max() == 0
    assert resident_bytes() - before > 90_000_000
    del found
    assert resident_bytes() - before < 10_000_000
    held = [one.memory_info() for one in ours() if one not in others]
    assert all(memory.rss < 150_000_000 for memory in held), held
    assert held


def resident_bytes() -> int:
    """Of shared memory, where pixels lie: the heap of a process of many tests changes by itself."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssShmem:"))
    return int(line.split()[1]) * 1024
