"""Decodes pages into the buffer, in the loader's processes. Needs NumPy and Pillow."""

from collections.abc import Sequence
from contextlib import suppress

from quintet.errors import PageError
from quintet.frame.shared_memory.handshake import ALIGNMENT_BYTES
from quintet.pixels.images import open_image
from quintet.pixels.raw_pictures import bytes_needed, write_raw

from quintet_client.service.page import Extent, Limits
from quintet_client.shared_memory.slabs import Slab


def decode_into(
    bodies: Sequence[bytes], memory: memoryview, slab: Slab, limits: Limits
) -> tuple[list[Extent | None], int]:
    """Decode P encoded pages into a slab of the buffer, one behind the other, as far as there is room.

    Returns:
        The extent of each page; None where there was no room or it cannot be decoded: it is sent encoded, and the
        service says what is wrong with it. And the bytes that all P pictures need.
    """
    extents, begin, all_bytes = list[Extent | None](), slab.offset, 0
    for body in bodies:
        extent = None
        with suppress(PageError):
            opened = open_image(body, limits)
            length = bytes_needed(opened.size_px)
            needed = -(-length // ALIGNMENT_BYTES) * ALIGNMENT_BYTES  # up to the next page
            all_bytes += needed
            if begin + length <= slab.offset + slab.size_bytes:
                write_raw(opened.image, len(body), memory[begin : begin + length])
                extent = Extent(begin, length)
                begin += needed
        extents.append(extent)
    return extents, all_bytes
