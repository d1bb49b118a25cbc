"""A font of empty characters for text that is found and copied, not seen: what Tesseract and OCRmyPDF call GlyphLess.

Every character that a PDF's text layer uses gets a number (CID), a usual width and its meaning in Unicode. What it
shows is a glyph of glyphless.ttf, which is ours and was written once with fontTools: glyph n, 1 to 100, is n
hundredths of an em wide and has two contours of one point each, (0, 0) and (width, 1 em). That is no ink, but a box:
PDFium leaves text out whose glyphs have none. With OCRmyPDF's Occulta (three widths, 4.5 KB more) its boxes of words
are off by a fifth of their height.
"""

import struct
from importlib.resources import files

import pikepdf
from pikepdf import Array, Dictionary, Name

from quintet_client.exports.layout.words import width_em

# A PDF's codes have two bytes; 0 means "no character". More distinct characters than that are one too many for a font.
_MOST_CHARACTERS = 0xFFFF
# PDF/A takes this for no character; what stands for it in new texts is U+2060.
_MEANINGS = {"\ufeff": "\u2060"}
_LEAST_WIDTH_EM = 0.01  # readers drop characters without any width
_TO_UNICODE = """\
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


def glyph_em(character: str) -> float:
    """Return the width of a character in this font, in em."""
    return max(width_em(character), _LEAST_WIDTH_EM)


class GlyphlessFont:
    """Numbers the characters of one PDF as they come, so that equal texts give equal bytes."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def encode(self, text: str) -> bytes:
        """Return a text as the codes of this font, two bytes each; those beyond all codes as U+FFFD."""
        return b"".join(struct.pack(">H", self._code(character)) for character in text)

    def _code(self, character: str) -> int:
        character = _MEANINGS.get(character, character)
        if character not in self._codes and len(self._codes) >= _MOST_CHARACTERS - 1:
            character = "\ufffd"
        return self._codes.setdefault(character, len(self._codes) + 1)

    def add_to(self, pdf: pikepdf.Pdf) -> pikepdf.Object:
        """Write the font into a PDF once all its texts are encoded."""
        name = Name("/GlyphLess")
        glyphs = [round(100 * glyph_em(character)) for character in self._codes]
        descriptor = Dictionary(Type=Name.FontDescriptor, FontName=name, Flags=4, ItalicAngle=0)
        descriptor.Ascent, descriptor.Descent, descriptor.CapHeight, descriptor.StemV = 1000, 0, 1000, 80
        descriptor.FontBBox = Array([0, 0, 1000, 1000])
        program = (files(__package__) / "glyphless.ttf").read_bytes()
        descriptor.FontFile2 = pdf.make_stream(program, Length1=len(program))
        described = Dictionary(Type=Name.Font, Subtype=Name.CIDFontType2, BaseFont=name, FontDescriptor=descriptor)
        described.CIDSystemInfo = Dictionary(Registry=b"Adobe", Ordering=b"Identity", Supplement=0)
        described.CIDToGIDMap = pdf.make_stream(struct.pack(f">{len(glyphs) + 1}H", 0, *glyphs))
        described.W = Array([1, Array([10 * glyph for glyph in glyphs])])
        font = Dictionary(Type=Name.Font, Subtype=Name.Type0, BaseFont=name, Encoding=Name("/Identity-H"))
        font.DescendantFonts = Array([pdf.make_indirect(described)])
        font.ToUnicode = pdf.make_stream(self._to_unicode())
        return pdf.make_indirect(font)

    def _to_unicode(self) -> bytes:
        """Write the CMap from codes to UTF-16, at most 100 lines a block as the format wants it."""
        lines = [f"<{code:04X}> <{character.encode('utf-16-be').hex()}>" for character, code in self._codes.items()]
        parts = [lines[start : start + 100] for start in range(0, len(lines), 100)]
        blocks = ["\n".join([f"{len(part)} beginbfchar", *part, "endbfchar"]) for part in parts]
        return _TO_UNICODE.format("\n".join(blocks)).encode()
