"""Raw pictures: decoded pages in memory that client and service share. Needs NumPy and Pillow alone.

    header   magic 8 bytes | width u32 | height u32 | encoded u64 | 8 bytes of nothing
    words    width x height times 32 bits, row by row: R, G, B and one byte that nobody reads

Little-endian. `encoded` is how many bytes the page had before it was decoded: the service holds that against the same
limit as a body. Whoever wrote the memory may change it at any time, so the header is copied out once and only the copy
is believed; the words are pixels, of which any value will do.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quintet.errors import Code, PageError
from quintet.pixels.images import WORD_BYTES, ImageLimits, check_size, load_words

MAGIC = b"\x91QUIBARE"

_HEADER = struct.Struct("<8sIIQ8x")


@dataclass(frozen=True)
class RawPicture:
    """One page that lies decoded in shared memory."""

    words: NDArray[np.int32]  # (H x W,) int32, read only; the memory itself, not a copy
    size_px: tuple[int, int]  # width and height


def bytes_needed(size_px: tuple[int, int]) -> int:
    """Bytes that a picture of this width and height takes."""
    return _HEADER.size + size_px[0] * size_px[1] * WORD_BYTES


def write_raw(image: Image.Image, encoded_bytes: int, memory: memoryview) -> None:
    """Decode an opened image, `encoded_bytes` long, into its `bytes_needed`: writable.

    Raises:
        PageError: as of `load_words`.
    """
    size_px = load_words(image, memory[_HEADER.size :])
    _HEADER.pack_into(memory, 0, MAGIC, *size_px, encoded_bytes)


def read_raw(memory: memoryview, limits: ImageLimits) -> RawPicture:
    """The picture that takes exactly this memory, without copying its pixels.

    Raises:
        PageError: it is none, its size is not the memory's, or it is beyond the limits of a page.
    """
    header = bytes(memory[: _HEADER.size])
    if len(header) < _HEADER.size or not header.startswith(MAGIC):
        raise PageError(Code.IMAGE_DECODE_FAILED, "there is no picture at this place")
    _magic, width, height, encoded_bytes = _HEADER.unpack(header)
    if encoded_bytes > limits.max_body_bytes:
        message = f"the page had {encoded_bytes} bytes; allowed are {limits.max_body_bytes}"
        raise PageError(Code.IMAGE_TOO_LARGE, message)
    check_size((width, height), limits)
    if bytes_needed((width, height)) != len(memory):
        message = f"the picture of {width} x {height} pixels does not take the {len(memory)} bytes of its place"
        raise PageError(Code.IMAGE_DECODE_FAILED, message)
    return RawPicture(np.frombuffer(memory, np.int32, offset=_HEADER.size), (width, height))
