"""A font of empty characters for text that is found and copied, not seen: what Tesseract and OCRmyPDF call GlyphLess.

Every character that a PDF's text layer uses gets a number (CID), a usual width and its meaning in Unicode. What it
shows is a glyph without ink, of its width, in a TrueType font of some hundred bytes that is written here.
"""

import struct
from collections.abc import Sequence

import pikepdf
from pikepdf import Array, Dictionary, Name

from quintet_client.exports.layout.words import advance_em

_UNITS_PER_EM = 1000
# A PDF's codes have two bytes; 0 means "no character". More distinct characters than that are one too many for a font.
_MOST_CHARACTERS = 0xFFFF
_LEAST_WIDTH_EM = 0.01  # readers drop characters without any width


def width_em(character: str) -> float:
    """Return the width of a character in this font, in em."""
    return max(advance_em(character), _LEAST_WIDTH_EM)


class GlyphlessFont:
    """Numbers the characters of one PDF as they come, so that equal texts give equal bytes."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def encode(self, text: str) -> bytes:
        """Return a text as the codes of this font, two bytes each; those beyond all codes as U+FFFD."""
        return b"".join(struct.pack(">H", self._code(character)) for character in text)

    def _code(self, character: str) -> int:
        if character not in self._codes and len(self._codes) >= _MOST_CHARACTERS - 1:
            character = "\ufffd"
        return self._codes.setdefault(character, len(self._codes) + 1)

    def add_to(self, pdf: pikepdf.Pdf) -> pikepdf.Object:
        """Write the font into a PDF once all its texts are encoded."""
        name = Name("/GlyphLess")
        widths = [round(_UNITS_PER_EM * width_em(character)) for character in self._codes]
        glyphs = {width: place for place, width in enumerate(dict.fromkeys(widths), start=1)}
        program = pdf.make_stream(truetype([_UNITS_PER_EM, *glyphs]))
        descriptor = Dictionary(Type=Name.FontDescriptor, FontName=name, FontFile2=program, Flags=4, ItalicAngle=0)
        descriptor.update({"/Ascent": 1000, "/Descent": 0, "/CapHeight": 1000, "/StemV": 80})
        descriptor.FontBBox = Array([0, 0, 1000, 1000])
        described = Dictionary(Type=Name.Font, Subtype=Name.CIDFontType2, BaseFont=name, FontDescriptor=descriptor)
        described.CIDSystemInfo = Dictionary(Registry=b"Adobe", Ordering=b"Identity", Supplement=0)
        used = [0, *(glyphs[width] for width in widths)]
        described.CIDToGIDMap = pdf.make_stream(struct.pack(f">{len(used)}H", *used))
        described.W = Array([1, Array(widths)])
        font = Dictionary(Type=Name.Font, Subtype=Name.Type0, BaseFont=name, Encoding=Name("/Identity-H"))
        font.DescendantFonts = Array([pdf.make_indirect(described)])
        font.ToUnicode = pdf.make_stream(self._to_unicode())
        return pdf.make_indirect(font)

    def _to_unicode(self) -> bytes:
        """Write the CMap from codes to UTF-16, at most 100 lines a block as the format wants it."""
        lines = [f"<{code:04X}> <{character.encode('utf-16-be').hex()}>" for character, code in self._codes.items()]
        parts = [lines[start : start + 100] for start in range(0, len(lines), 100)]
        blocks = ["\n".join([f"{len(part)} beginbfchar", *part, "endbfchar"]) for part in parts]
        return _CMAP.format("\n".join(blocks)).encode()


_CMAP = """\
/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
{}
endcmap
CMapName currentdict /CMap defineresource pop
end
end
"""


def truetype(widths: Sequence[int]) -> bytes:
    """Write a TrueType font of glyphs without ink: OpenType 1.9, as far as a PDF takes it.

    Args:
        widths: of the glyphs, in thousandths of an em; the first is `.notdef`.
    """
    count, widest = len(widths), max(widths)
    head = struct.pack(
        ">IIIIHHqqhhhhHHhhh", 0x10000, 0x10000, 0, 0x5F0F3CF5, 0, 1000, 0, 0, 0, 0, widest, 1000, 0, 8, 2, 0, 0
    )
    hhea = struct.pack(">IhhhHhhhhhhhhhhhH", 0x10000, 1000, 0, 0, widest, 0, 0, widest, 1, *[0] * 7, count)
    maxp = struct.pack(">IHHHHHHHHHHHHHH", 0x10000, count, 2, 2, 0, 0, 1, *[0] * 8)
    cmap = struct.pack(">HHHHIHHHHHH", 0, 1, 3, 1, 12, 6, 12, 0, 0, 1, 1)  # U+0000 is glyph 1; PDF goes by numbers
    post = struct.pack(">IIhhIIIII", 0x30000, 0, 0, 0, 1, 0, 0, 0, 0)
    glyphs = [_inkless(width) for width in widths]
    places = [sum(map(len, glyphs[:place])) // 2 for place in range(count + 1)]
    tables = {"cmap": cmap, "glyf": b"".join(glyphs), "head": head, "hhea": hhea, "maxp": maxp, "post": post}
    tables["hmtx"] = b"".join(struct.pack(">Hh", width, 0) for width in widths)
    tables["loca"] = struct.pack(f">{count + 1}H", *places)
    return _sfnt(tables)


def _inkless(width: int) -> bytes:
    """Write a glyph of two contours of one point each: nothing to fill, but a box as wide as the character.

    PDFium leaves text out whose glyphs have no box: characters that stand alone, and all lines of pages on their side.
    """
    box = struct.pack(">hhhhh", 2, 0, 0, width, 1000)
    on_curve = 1
    return box + struct.pack(">HHHBBhhhh", 0, 1, 0, on_curve, on_curve, 0, width, 0, 1000)


def _sfnt(tables: dict[str, bytes]) -> bytes:
    """Join tables under their directory, each at a multiple of four bytes."""
    most = 1 << (len(tables).bit_length() - 1)
    directory = struct.pack(">IHHHH", 0x10000, len(tables), 16 * most, most.bit_length() - 1, 16 * (len(tables) - most))
    offset, body = 12 + 16 * len(tables), b""
    for tag, table in sorted(tables.items()):
        padded = table + bytes(-len(table) % 4)
        checksum = sum(struct.unpack(f">{len(padded) // 4}I", padded)) & 0xFFFFFFFF
        directory += struct.pack(">4sIII", tag.encode(), checksum, offset + len(body), len(table))
        body += padded
    return directory + body
