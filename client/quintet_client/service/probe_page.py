"""One tiny page for probes, made with the standard library: a word in blocks, so that all five models have work."""

import struct
import zlib

WORD = "READY"
_GLYPHS = {
    "A": (0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001),
    "D": (0b11110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b11110),
    "E": (0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111),
    "R": (0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001),
    "Y": (0b10001, 0b10001, 0b01010, 0b00100, 0b00100, 0b00100, 0b00100),
}
_ROWS, _COLUMNS = 7, 5
_BLOCK_PX = 5
_MARGIN_PX = 40


def draw_probe_page() -> bytes:
    """The page as PNG of 230 x 115 pixels, 244 bytes."""
    width = 2 * _MARGIN_PX + len(WORD) * (_COLUMNS + 1) * _BLOCK_PX
    blank = bytes([255]) * width
    word = [_row_of_blocks(row) for row in range(_ROWS) for _ in range(_BLOCK_PX)]
    rows = [blank] * _MARGIN_PX + word + [blank] * _MARGIN_PX
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 0, 0, 0, 0)  # 8 bits, grey
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)  # each row begins with its filter: none
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _row_of_blocks(row: int) -> bytes:
    """One row of pixels through the word."""
    margin = bytes([255]) * _MARGIN_PX
    # Six columns a letter: the sixth bit of a glyph is the space before it.
    bits = [_GLYPHS[letter][row] >> column & 1 for letter in WORD for column in range(_COLUMNS, -1, -1)]
    return margin + b"".join(bytes([0 if bit else 255]) * _BLOCK_PX for bit in bits) + margin


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
