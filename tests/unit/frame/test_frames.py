"""The framing of packed requests and answers: what goes in comes out, and nothing else comes in."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet.frame import frames
from quintet.frame.frames import Answer, BufferSlice, FrameError, Kind

BODIES = st.lists(st.binary(max_size=40), min_size=1, max_size=12)
ANSWERS = st.lists(st.builds(Answer, st.integers(100, 599), st.binary(max_size=40)), min_size=1, max_size=12)
U64 = st.integers(0, 2**64 - 1)


def packed(kind: Kind, items: list[Answer]) -> bytes:
    """A frame of any items: that of answers, with another kind in its head."""
    frame = bytearray(frames.pack_answers(items))
    frame[10:12] = struct.pack("<H", kind)
    return bytes(frame)


SLICES = st.builds(BufferSlice, st.binary(min_size=16, max_size=16), U64, U64)
FRAME = frames.pack_pages([b"first", b"", b"third"])


@given(BODIES, ANSWERS)
def test_what_is_packed_is_unpacked(bodies, answers):
    assert frames.unpack_pages(frames.pack_pages(bodies)) == bodies
    assert frames.unpack_pages(bytearray(frames.pack_pages(bodies))) == bodies
    assert frames.unpack_answers(frames.pack_answers(answers)) == answers


@given(BODIES)
def test_a_frame_cut_anywhere_or_with_anything_behind_it_is_refused(bodies):
    frame = frames.pack_pages(bodies)
    for end in range(len(frame)):
        with pytest.raises(FrameError):
            frames.unpack_pages(frame[:end])
    with pytest.raises(FrameError):
        frames.unpack_pages(frame + b"\0")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_with_and_without_a_good_beginning(noise):
    with pytest.raises(FrameError):
        frames.unpack_pages(noise)
    for kept in (8, 12, 16):
        try:
            bodies = frames.unpack_pages(FRAME[:kept] + noise)
        except FrameError:
            continue
        assert frames.pack_pages(bodies) == FRAME[:kept] + noise  # by chance it was a frame


@given(st.integers(0, len(FRAME) - 1), st.integers(0, 255))
def test_a_changed_byte_is_noticed_or_changes_a_page_but_never_breaks_the_reader(place, value):
    changed = bytearray(FRAME)
    changed[place] = value
    with suppress(FrameError):
        assert frames.pack_pages(frames.unpack_pages(changed)) == changed


def test_the_layout_is_the_documented_one():
    head = b"\x91QUINTET" + struct.pack("<HHI", 1, 1, 2)
    assert frames.pack_pages([b"ab", b""]) == head + struct.pack("<IIII", 0, 2, 0, 0) + b"ab"


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"", "cut: 0 bytes"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "send a frame"),
        (frames.MAGIC + struct.pack("<HHI", 2, 1, 1), "version 2 and kind 1; expected are 1 and 1"),
        (frames.pack_answers([Answer(200, b"{}")]), "version 1 and kind 2; expected are 1 and 1"),
        (frames.MAGIC + struct.pack("<HHI", 1, 1, 0), "0 items; allowed are 1 to 256"),
        (frames.MAGIC + struct.pack("<HHI", 1, 1, 2**32 - 1), "4294967295 items"),
        (frames.MAGIC + struct.pack("<HHI", 1, 1, 3) + bytes(16), "table of 3 items"),
        (frames.MAGIC + struct.pack("<HHIII", 1, 1, 1, 0, 2**32 - 1), "its table announces"),
        (frames.MAGIC + struct.pack("<HHIII", 1, 1, 1, 200, 0), "pages have status 0"),
    ],
)
def test_what_is_wrong_is_said(frame, words):
    with pytest.raises(FrameError, match=words):
        frames.unpack_pages(frame)


def test_a_frame_of_nothing_or_of_too_much_is_not_made():
    for count in (0, frames.MAX_ITEMS + 1):
        with pytest.raises(FrameError, match=f"{count} items"):
            frames.pack_pages([b""] * count)


@pytest.mark.parametrize("header", [frames.MEDIA_TYPE, frames.MEDIA_TYPE.upper(), frames.MEDIA_TYPE + " ; v=1"])
def test_the_media_type_is_read_as_http_reads_it(header):
    assert frames.is_packed(header)
    assert not frames.is_packed("application/octet-stream")
    assert not frames.is_packed(None)


@given(st.lists(SLICES | st.binary(max_size=40), min_size=1, max_size=12))
def test_slices_and_pages_share_a_frame_and_stay_what_they_are(pages):
    frame = frames.pack_slices(pages)
    assert frames.unpack_slices(frame) == pages
    assert frames.kind_of(frame) == Kind.SLICES
    with pytest.raises(FrameError):
        frames.unpack_pages(frame)


@given(st.lists(SLICES, min_size=1, max_size=3), st.data())
def test_a_frame_of_slices_with_a_changed_byte_never_breaks_the_reader(pages, data):
    changed = bytearray(frames.pack_slices(pages))
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with suppress(FrameError):
        assert frames.pack_slices(frames.unpack_slices(changed)) == changed


@pytest.mark.parametrize("item", [Answer(1, b""), Answer(1, bytes(31)), Answer(1, bytes(33)), Answer(2, bytes(32))])
def test_what_is_neither_page_nor_slice_is_refused(item):
    frame = packed(Kind.SLICES, [item])
    with pytest.raises(FrameError, match="a slice has 1 and 32"):
        frames.unpack_slices(frame)


def test_the_layout_of_a_slice_is_the_documented_one():
    head = b"\x91QUINTET" + struct.pack("<HHIII", 1, 3, 1, 1, 32)
    assert frames.pack_slices([BufferSlice(b"n" * 16, 64, 1000)]) == head + b"n" * 16 + struct.pack("<QQ", 64, 1000)


def test_the_question_for_buffers_is_one_empty_item_and_nothing_else():
    question = frames.pack_question(Kind.BUFFERS)
    assert frames.kind_of(question) == Kind.BUFFERS
    frames.check_question(Kind.BUFFERS, question)
    for items in ([Answer(0, b"x")], [Answer(1, b"")], [Answer(0, b"")] * 2):
        with pytest.raises(FrameError):
            frames.check_question(Kind.BUFFERS, packed(Kind.BUFFERS, items))
    with pytest.raises(FrameError):
        frames.check_question(Kind.BUFFERS, FRAME)


@given(st.binary(max_size=20))
def test_the_kind_of_anything_is_a_number(noise):
    assert 0 <= frames.kind_of(noise) < 2**16
