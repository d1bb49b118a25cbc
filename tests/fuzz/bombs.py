"""Small bodies that cost a decoder much: time, memory, or both. Nothing in them is damaged."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable


def png(size_px: tuple[int, int], channels: int = 4, depth: int = 8, between: bytes = b"") -> bytes:
    """A PNG of zeros in a thousandth of its pixels' bytes; `between` stands before its pixels."""
    width, height = size_px
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    row = bytes(1 + width * channels * depth // 8)
    pixels = _deflated(row for _ in range(height))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + between + _chunk(b"IDAT", pixels) + _chunk(b"IEND")


def png_of_chunks(count: int) -> bytes:
    """A small PNG with so many empty chunks of no meaning before its pixels."""
    return png((100, 100), between=_chunk(b"prVt") * count)


def jpeg_of_scans(size_px: tuple[int, int], scans: int) -> bytes:
    """A grey progressive JPEG whose scans change nothing: each costs a visit to every block, and hardly a byte."""
    width, height = size_px
    blocks = -(-width // 8) * -(-height // 8)
    # One code each, of one bit: "no difference" for DC, "the next 32,767 blocks are done" for AC.
    tables = b"".join(_segment(0xC4, bytes([kind, 1, *[0] * 15, value])) for kind, value in ((0x00, 0), (0x10, 0xE0)))
    frame = _segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + bytes([1, 0x11, 0]))
    first = _segment(0xDA, bytes([1, 1, 0x00, 0, 0, 0])) + bytes(blocks // 8 + 1)
    runs = -(-blocks // 32767)
    bits = ("0" + "1" * 14) * runs
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    others = b"".join(
        _segment(0xDA, bytes([1, 1, 0x00, 1 + number % 63, 1 + number % 63, 0])) + data for number in range(scans - 1)
    )
    quantisation = _segment(0xDB, bytes([0, *[1] * 64]))
    return b"\xff\xd8" + quantisation + frame + tables + first + others + b"\xff\xd9"


def jpeg_of_segments(count: int) -> bytes:
    """A small JPEG with so many empty application segments before its pixels."""
    body = jpeg_of_scans((100, 100), 1)
    return body[:2] + _segment(0xE5, b"") * count + body[2:]


def tiff_of_one_tile(tile_px: int) -> bytes:
    """A TIFF of 100 x 100 grey pixels in a tile of so many squared."""
    row = bytes(tile_px)
    tile = _deflated(row for _ in range(tile_px))
    tags = [(322, 4, 1, tile_px), (323, 4, 1, tile_px), (324, 4, 1, 8), (325, 4, 1, len(tile))]
    return _tiff(tile, [*_grey_tags((100, 100), 8), *tags])


def tiff_of_strips(height: int) -> bytes:
    """A TIFF ten pixels wide with one row in each strip, all of them the same ten bytes."""
    where = struct.pack("<I", 8) * height
    lengths = struct.pack("<I", 10) * height
    data = bytes(16) + where + lengths
    tags = [(273, 4, height, 24), (278, 4, 1, 1), (279, 4, height, 24 + len(where))]
    return _tiff(data, [*_grey_tags((10, height), 1), *tags])


def webp_of_canvas(side_px: int) -> bytes:
    """A WebP that announces a large canvas and has one frame of a pixel in it."""
    frame = bytes.fromhex("2f00000000070700")  # VP8L of 1 x 1, white
    part = b"VP8L" + struct.pack("<I", len(frame)) + frame
    canvas = struct.pack("<I", side_px - 1)[:3] * 2
    extended = b"VP8X" + struct.pack("<II", 10, 2) + canvas  # animated
    loop = b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    moved = bytes(6) + bytes(6) + bytes(3) + b"\0" + part
    shown = b"ANMF" + struct.pack("<I", len(moved)) + moved
    whole = b"WEBP" + extended + loop + shown
    return b"RIFF" + struct.pack("<I", len(whole)) + whole


def gif_of_screen(side_px: int) -> bytes:
    """A GIF that announces a large screen and has one frame of a pixel in it."""
    screen = struct.pack("<HHBBB", side_px, side_px, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + screen + frame + b";"


# A name, and how the body is made; within seconds each.
BOMBS: dict[str, Callable[[], bytes]] = {
    "PNG, RGBA of 9,990 x 9,990": lambda: png((9_990, 9_990)),
    "PNG, RGBA of 16 bits, 9,990 x 9,990": lambda: png((9_990, 9_990), depth=16),
    "PNG of a million empty chunks": lambda: png_of_chunks(1_000_000),
    "JPEG of 300 scans": lambda: jpeg_of_scans((9_990, 9_990), 300),
    "JPEG of 50 scans": lambda: jpeg_of_scans((9_990, 9_990), 50),
    "JPEG of a million empty segments": lambda: jpeg_of_segments(1_000_000),
    "TIFF of 100 x 100 in a tile of 46,000 x 46,000": lambda: tiff_of_one_tile(46_000),
    "TIFF of a million strips": lambda: tiff_of_strips(1_000_000),
    "WebP with a canvas of 9,990 x 9,990": lambda: webp_of_canvas(9_990),
    "WebP with a canvas of 16,000 x 16,000": lambda: webp_of_canvas(16_000),
    "GIF with a screen of 9,990 x 9,990": lambda: gif_of_screen(9_990),
    "GIF with a screen of 60,000 x 60,000": lambda: gif_of_screen(60_000),
}


def _deflated(rows: Iterable[bytes]) -> bytes:
    packer = zlib.compressobj(1)
    return b"".join([*map(packer.compress, rows), packer.flush()])


def _chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(data)) + data


def _grey_tags(size_px: tuple[int, int], compression: int) -> list[tuple[int, int, int, int]]:
    width, height = size_px
    pairs = ((256, width), (257, height), (258, 8), (259, compression), (262, 1), (277, 1))
    return [(tag, 4, 1, value) for tag, value in pairs]


def _tiff(data: bytes, tags: list[tuple[int, int, int, int]]) -> bytes:
    """Data from byte 8 on, and behind it the one directory: tag, type, count, value or place."""
    data += bytes(len(data) % 2)
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return struct.pack("<4sI", b"II*\0", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)
