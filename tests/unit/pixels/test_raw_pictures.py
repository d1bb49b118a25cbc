"""Raw pictures: what is laid down is what is read, and nothing else is."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from quintet.errors import Code, PageError
from quintet.pages.settings import Settings
from quintet.pixels.raw_pictures import MAGIC, bytes_needed, read_raw, write_raw

SETTINGS = Settings()


def drawn(width, height):
    rng = np.random.default_rng(width * height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8), "RGB")


def laid(image, encoded_bytes=100):
    memory = memoryview(bytearray(bytes_needed(image.size)))
    write_raw(image, encoded_bytes, memory)
    return memory.toreadonly()


def header(width, height, encoded_bytes=100, magic=MAGIC):
    return struct.pack("<8sIIQ8x", magic, width, height, encoded_bytes)


@given(st.integers(10, 60), st.integers(10, 60))
def test_a_picture_is_read_as_it_was_laid_down(width, height):
    image = drawn(width, height)
    picture = read_raw(laid(image), SETTINGS)
    expected = np.frombuffer(image.tobytes("raw", "RGBX"), np.int32)
    assert picture.size_px == (width, height)
    assert np.array_equal(expected & 0xFFFFFF, picture.words & 0xFFFFFF)


def test_the_pixels_are_the_memory_itself_and_cannot_be_written():
    memory = laid(drawn(20, 20))
    words = read_raw(memory, SETTINGS).words
    assert np.shares_memory(words, np.frombuffer(memory, np.uint8))
    assert not words.flags.writeable


def test_a_header_that_changes_while_it_is_read_is_read_once():
    image = drawn(20, 20)
    memory = memoryview(bytearray(bytes_needed(image.size)))
    write_raw(image, 100, memory)
    picture = read_raw(memory.toreadonly(), SETTINGS)
    memory[8:16] = struct.pack("<II", 40_000, 40_000)
    assert picture.size_px == (20, 20)
    assert len(picture.words) == 400


@pytest.mark.parametrize(
    ("memory", "code"),
    [
        (b"", Code.IMAGE_DECODE_FAILED),
        (MAGIC, Code.IMAGE_DECODE_FAILED),
        (bytes(32 + 1600), Code.IMAGE_DECODE_FAILED),
        (b"\xff\xd8\xff\xe0 an encoded image, which has no business here", Code.IMAGE_DECODE_FAILED),
        (header(20, 20) + bytes(1600 - 1), Code.IMAGE_DECODE_FAILED),
        (header(20, 20) + bytes(1600 + 4), Code.IMAGE_DECODE_FAILED),
        (header(20, 20), Code.IMAGE_DECODE_FAILED),
        (header(2**31, 2**31) + bytes(1600), Code.IMAGE_TOO_LARGE),
        (header(2**32 - 1, 2**32 - 1) + bytes(1600), Code.IMAGE_TOO_LARGE),
        (header(0, 20), Code.IMAGE_TOO_SMALL),
        (header(400, 1) + bytes(1600), Code.IMAGE_TOO_SMALL),
        (header(20, 20, encoded_bytes=2**63) + bytes(1600), Code.IMAGE_TOO_LARGE),
    ],
)
def test_what_is_no_picture_of_its_slices_size_or_beyond_the_limits_is_refused(memory, code):
    with pytest.raises(PageError) as error:
        read_raw(memoryview(memory), SETTINGS)
    assert error.value.failure.code is code


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_no_header_makes_the_reader_look_beyond_its_memory(pixels, width, height):
    try:
        picture = read_raw(memoryview(header(width, height) + pixels), SETTINGS)
    except PageError:
        return
    assert picture.size_px == (width, height)
    assert picture.words.nbytes == len(pixels)
