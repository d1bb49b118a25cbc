"""Which images of a TIFF are pages, told from its directories alone."""

from __future__ import annotations

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_documents import drawn, tiff_of
from PIL import Image
from quintet_client.input.documents.tiff_directories import pages_of_tiff

MOST = 1000


def tiff(*subfile_types, order="<", big=False, last=0):
    """A TIFF of directories with one entry each and no pixels; `last` is where the last one says the next is."""
    number, count, mark = ("Q", "Q", 43) if big else ("I", "H", 42)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", mark)
    head += struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8)
    size = struct.calcsize(f"={count}{number}") + (20 if big else 12)
    body = b""
    for place, kind in enumerate(subfile_types, 1):
        entry = struct.pack(f"{order}HH{number}{number}", 254, 16 if big else 4, 1, kind)
        if order == ">" and big:
            entry = struct.pack(">HHQII", 254, 4, 1, kind, 0)
        following = len(head) + place * size if place < len(subfile_types) else last
        body += struct.pack(order + count, 1) + entry + struct.pack(order + number, following)
    return head + body + b"\0" * 8


@pytest.fixture
def pages(tmp_path):
    def count(content, most=MOST):
        (tmp_path / "a.tif").write_bytes(content)
        return pages_of_tiff(str(tmp_path / "a.tif"), most)

    return count


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}])
def test_there_are_as_many_pages_as_pillow_finds_images(pages, tmp_path, count, options):
    body = tiff_of([drawn(str(number)) for number in range(count)], **options)
    assert pages(body) == tuple(range(1, count + 1))
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == count


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_thumbnails_and_masks_are_no_pages(pages, order, big):
    assert pages(tiff(0, 1, 2, 4, 0, order=order, big=big)) == (1, 3, 5)


def test_a_chain_that_bites_its_tail_is_followed_once(pages):
    assert pages(tiff(0, 0, last=8)) == (1, 2)


@pytest.mark.parametrize("last", [9_999_999, 1])
def test_a_page_that_is_missing_at_the_end_is_counted_so_that_it_fails(pages, last):
    assert pages(tiff(0, 0, last=last)) == (1, 2, 3)


@pytest.mark.parametrize("content", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"no TIFF at all", tiff(0)[:20]])
def test_what_is_no_tiff_or_damaged_from_the_start_has_no_pages(pages, content):
    assert pages(content) == ()


def test_counting_ends_a_page_after_the_most_that_are_wanted(pages):
    assert len(pages(tiff(*[0] * 50), 10)) == 11


def test_what_is_no_file_raises(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        pages_of_tiff(str(tmp_path / "missing.tif"), MOST)
    with pytest.raises(OSError, match="directory"):
        pages_of_tiff(str(tmp_path), MOST)


@given(st.binary(max_size=80), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b""]))
def test_any_bytes_are_counted_at_once(tmp_path_factory, content, mark):
    path = tmp_path_factory.getbasetemp() / "any.tif"
    path.write_bytes(mark + content)
    begin = time.monotonic()
    assert len(pages_of_tiff(str(path), MOST)) <= MOST + 1
    assert time.monotonic() - begin < 1


@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_a_damaged_tiff_is_counted_at_once(tmp_path_factory, at, noise):
    whole = tiff(0, 0, 0, 0, 0)
    path = tmp_path_factory.getbasetemp() / "damaged.tif"
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    assert len(pages_of_tiff(str(path), MOST)) <= MOST + 1
