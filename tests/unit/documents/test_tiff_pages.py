"""Which images of a TIFF are pages, as the process that opens documents tells from its directories."""

from __future__ import annotations

import io
import struct
import time
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from quintet.errors import Code
from quintet.pixels.documents.tiff import TiffPages
from quintet_client.input.documents.messages import MOST_PAGES, Answer, answer_packed, answer_unpacked
from quintet_client.input.documents.renderer import Renderer
from quintet_client.input.paging import pages_of
from quintet_client.input.source import Source

from tests.unit.documents.made_documents import drawn, tiff_of


def tiff(*subfile_types, order="<", big=False, last=0):
    """A TIFF of directories with one entry each and no pixels; `last` is where the last one says the next is."""
    number, count, mark = ("Q", "Q", 43) if big else ("I", "H", 42)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", mark)
    head += struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8)
    size = struct.calcsize(f"={count}{number}") + (20 if big else 12)
    body = b""
    for place, kind in enumerate(subfile_types, 1):
        entry = struct.pack(f"{order}HH{number}{number}", 254, 16 if big else 4, 1, kind)
        following = len(head) + place * size if place < len(subfile_types) else last
        body += struct.pack(order + count, 1) + entry + struct.pack(order + number, following)
    return head + body + b"\0" * 8


@pytest.fixture(scope="module")
def renderer():
    with closing(Renderer()) as made:
        yield made


@pytest.fixture
def pages(tmp_path, renderer):
    """Page numbers of a TIFF of some bytes."""

    def count(content):
        (tmp_path / "a.tif").write_bytes(content)
        return renderer.count(str(tmp_path / "a.tif")).pages

    return count


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}])
def test_there_are_as_many_pages_as_pillow_finds_images(pages, tmp_path, count, options):
    body = tiff_of([drawn(str(number)) for number in range(count)], **options)
    assert pages(body) == tuple(range(1, count + 1))
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == count


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
def test_thumbnails_and_masks_are_no_pages(pages, order, big):
    assert pages(tiff(0, 1, 2, 4, 0, order=order, big=big)) == (1, 3, 5)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_big_endian_bigtiff_which_pillow_cannot_read_travels_whole_and_fails_as_an_image(renderer, tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff(0, 0, order=">", big=True))
    file = Source("a.tif", str(tmp_path / "a.tif"))
    assert pages_of(file, renderer.render_source(file)) == [file]
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(tmp_path / "a.tif")


def test_a_chain_that_bites_its_tail_is_followed_once(pages):
    assert pages(tiff(0, 0, last=8)) == (1, 2)


@pytest.mark.parametrize("last", [9_999_999, 1])
def test_a_page_that_is_missing_at_the_end_is_counted_so_that_it_fails(pages, renderer, tmp_path, last):
    assert pages(tiff(0, 0, last=last)) == (1, 2, 3)
    assert renderer.render(str(tmp_path / "a.tif"), 3, 200).code


def test_pages_behind_a_directory_whose_values_lie_outside_the_file_are_one_that_fails(pages, renderer, tmp_path):
    whole = tiff_of([drawn(str(number)) for number in range(3)])
    (second,) = struct.unpack_from("<I", whole, directory_end(whole, 8))
    entry = second + 2
    while struct.unpack_from("<H", whole, entry)[0] != 273:  # where its strips are
        entry += 12
    broken = whole[: entry + 4] + struct.pack("<II", 2, len(whole) - 2) + whole[entry + 12 :]
    assert pages(broken) == (1, 2)
    assert [renderer.render(str(tmp_path / "a.tif"), number, 200).code for number in (1, 2)] == [
        "",
        "IMAGE_DECODE_FAILED",
    ]


def directory_end(content, at):
    return at + 2 + 12 * struct.unpack_from("<H", content, at)[0]


@pytest.mark.parametrize("content", [b"II*\0", b"II*\0\xff\xff\xff\xff", b"II+\0\x08\0\0\0", tiff(0)[:20]])
def test_what_is_damaged_from_the_start_has_no_pages(pages, content):
    assert pages(content) == ()


@pytest.mark.parametrize("content", [b"", b"no TIFF at all", b"%PDF-1.7", tiff(0)[:20], tiff(0), tiff(1)])
def test_what_is_no_tiff_or_has_one_image_or_is_damaged_from_the_start_travels_as_it_is(renderer, tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    for path in (tmp_path / "a.tif", tmp_path / "missing.tif", tmp_path):
        file = Source("a.tif", f"{path}" if path != tmp_path else f"{tmp_path}/.tif")
        assert pages_of(file, renderer.render_source(file)) == [file]


def test_counting_ends_where_it_is_told_to():
    assert TiffPages(io.BytesIO(tiff(*[0, 1] * 50))).numbers(10) == tuple(range(1, 20, 2))


@pytest.mark.parametrize("count", [MOST_PAGES, MOST_PAGES + 1])
def test_all_pages_of_the_longest_document_are_told_and_one_that_is_longer_is_a_fault(count):
    told = answer_unpacked(io.BytesIO(answer_packed(Answer(pages=tuple(range(1, count + 1))))).read, 0)
    found = pages_of(Source("a.tif", "a.tif"), told)
    assert [page.code for page in found[:1]] == ["" if count <= MOST_PAGES else Code.DOCUMENT_TOO_LONG]
    assert len(found) == (count if count <= MOST_PAGES else 1)


def test_a_tiff_that_nobody_could_count_is_not_taken_for_one_page(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff(0, 0))
    with closing(Renderer(page_s=0.001)) as hurried:  # no process starts so fast
        file = Source("a.tif", str(tmp_path / "a.tif"))
        (page,) = pages_of(file, hurried.render_source(file))
    assert page.code == "RENDERER_STALLED"


@given(st.binary(max_size=80), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]))
@settings(deadline=None)
def test_any_bytes_are_counted_at_once(renderer, tmp_path_factory, content, mark):
    path = tmp_path_factory.getbasetemp() / "any.tif"
    path.write_bytes(mark + content)
    assert_counted_at_once(renderer, path)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
@settings(deadline=None)
def test_a_damaged_tiff_is_counted_at_once(renderer, tmp_path_factory, at, noise):
    whole = tiff(0, 0, 0, 0, 0)
    path = tmp_path_factory.getbasetemp() / "damaged.tif"
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    assert_counted_at_once(renderer, path)


def assert_counted_at_once(renderer, path):
    begin = time.monotonic()
    answer = renderer.count(str(path))
    assert answer.code in {"", "DOCUMENT_DAMAGED"}
    assert len(answer.pages) < 100
    assert time.monotonic() - begin < 2
