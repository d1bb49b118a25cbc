"""PDFs of images against the rules of PDF/A-2u (ISO 19005-2) that concern what they hold."""

from __future__ import annotations

import io
import re
import struct

import pikepdf
import pytest
from lxml import etree
from PIL import Image, ImageCms
from quintet.pixels import images

from tests.unit.exports.made_pdfs import SIZE, picture, searchable, shown, text_of
from tests.unit.exports.made_results import encoded, line, page

ALLOWED_FILTERS = {"/FlateDecode", "/DCTDecode", "/CCITTFaxDecode", "/JPXDecode"}
GREY, RGB = "/DeviceGray", "/DeviceRGB"
SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "pdfaid": "http://www.aiim.org/pdfa/ns/id/",
    "dc": "http://purl.org/dc/elements/1.1/",
}


def bodies():
    """One file of each way into a PDF."""
    small = picture((200, 300))
    return {
        "jpeg": encoded(small, "JPEG"),
        "png": encoded(small, "PNG"),
        "palette": encoded(small.convert("P"), "PNG"),
        "deep png": encoded(Image.new("I;16", (200, 300), 40_000), "PNG"),
        "clear png": encoded(small.convert("RGBA"), "PNG"),
        "fax": encoded(small.convert("1"), "TIFF", compression="group4"),
        "jpeg in tiff": encoded(small, "TIFF", compression="jpeg"),
        "jpeg 2000": encoded(small, "JPEG2000"),
        "gif": encoded(small.convert("P"), "GIF"),
        "ink tiff": encoded(small.convert("CMYK"), "TIFF"),
    }


def violations(body: bytes) -> list[str]:
    """What a PDF has that PDF/A-2u forbids, or lacks that it asks for; numbers are those of its clauses."""
    found = [] if re.match(rb"%PDF-1\.[0-7]\n%[\x80-\xff]{4}\n", body) else ["6.1.2 header"]
    if body[-6:].rstrip(b"\n") != b"%%EOF":
        found.append("6.1.3 data behind the end")
    if re.search(rb"[^\r\n]endstream", body):
        found.append("6.1.7.1 endstream does not begin a line")
    with pikepdf.open(io.BytesIO(body)) as pdf:
        found += [] if "/ID" in pdf.trailer else ["6.1.3 no ID"]
        found += ["6.1.3 encrypted"] if "/Encrypt" in pdf.trailer else []
        found += of_catalog(pdf) + of_metadata(pdf)
        for each in pdf.objects:
            found += of_object(each)
        for each in pdf.pages:
            found += of_page(each)
    return found


def of_catalog(pdf) -> list[str]:
    (intent,) = pdf.Root.OutputIntents
    profile = intent.DestOutputProfile
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile.read_bytes())).profile
    checks = {
        "6.2.3 intent": intent.S == "/GTS_PDFA1" and intent.OutputConditionIdentifier,
        "6.2.3 profile": opened.device_class == "mntr" and opened.xcolor_space.strip() == "RGB" and profile.N == 3,
        "6.2.3 version": opened.version < 5,
        "6.9 optional content": not {"/OCProperties", "/AcroForm", "/OpenAction", "/AA"} & set(pdf.Root.keys()),
    }
    return [rule for rule, holds in checks.items() if not holds]


def of_metadata(pdf) -> list[str]:
    stream = pdf.Root.Metadata
    packet = stream.read_raw_bytes()
    tree = etree.fromstring(packet)
    part, conformance = (
        list(map(str, tree.xpath(f"//@{name} | //{name}/text()", namespaces=SPACES)))
        for name in ("pdfaid:part", "pdfaid:conformance")
    )
    title = tree.xpath("//dc:title/rdf:Alt/rdf:li/text()", namespaces=SPACES)
    checks = {
        "6.6.2 stream": (stream.Type, stream.Subtype) == ("/Metadata", "/XML") and "/Filter" not in stream,
        "6.6.2 packet": packet.startswith(b"<?xpacket begin=") and b"bytes=" not in packet[:100],
        "6.6.4 part": part == ["2"],
        "6.6.4 conformance": conformance == ["U"],
        "6.6.3 title": title == [str(pdf.docinfo.Title)] and set(pdf.docinfo.keys()) == {"/Title"},
    }
    return [rule for rule, holds in checks.items() if not holds]


def of_object(each) -> list[str]:
    if not isinstance(each, pikepdf.Stream | pikepdf.Dictionary):
        return []
    found = []
    if isinstance(each, pikepdf.Stream):
        filters = each.get("/Filter", [])
        names = {str(name) for name in filters} if isinstance(filters, pikepdf.Array) else {str(filters)}
        found += ["6.1.7.2 filter"] if names - ALLOWED_FILTERS - {"[]"} else []
        found += ["6.1.7.1 external file"] if {"/F", "/FFilter", "/FDecodeParms"} & set(each.keys()) else []
    if each.get("/Subtype") == "/Image":
        found += of_image(each)
    if each.get("/Type") == "/Font":
        found += of_font(each)
    return found


def of_image(image) -> list[str]:
    space = image.ColorSpace
    colours = space[1] if isinstance(space, pikepdf.Array) and space[0] == "/Indexed" else space
    checks = {
        "6.2.8 alternates": not {"/Alternates", "/OPI", "/SMask"} & set(image.keys()) and not image.get("/Interpolate"),
        "6.2.8 bits": image.BitsPerComponent in {1, 2, 4, 8, 16},
        "6.2.4.3 colours": colours in {GREY, RGB},
    }
    return [rule for rule, holds in checks.items() if not holds]


def of_font(font) -> list[str]:
    if font.Subtype == "/CIDFontType2":
        program = font.FontDescriptor.FontFile2
        glyphs = struct.unpack(f">{len(font.CIDToGIDMap.read_bytes()) // 2}H", font.CIDToGIDMap.read_bytes())
        checks = {
            "6.2.11.4 embedded": program.Length1 == len(program.read_bytes()) and "/CIDSet" not in font.FontDescriptor,
            "6.2.11.5 widths": [10 * glyph for glyph in glyphs[1:]] == list(map(int, font.W[1])) and font.W[0] == 1,
            "6.2.11.8 .notdef": 0 not in glyphs[1:] and max(glyphs) <= 100,
        }
        return [rule for rule, holds in checks.items() if not holds]
    if (font.Subtype, font.Encoding) != ("/Type0", "/Identity-H"):
        return ["6.2.11.4 a font that is not embedded"]
    meanings = re.findall(rb"^<[0-9A-F]{4}> <([0-9a-f]+)>$", font.ToUnicode.read_bytes(), re.MULTILINE)
    bad = {b"0000", b"feff", b"fffe"} & set(meanings)
    return ["6.2.11.7.2 meaning"] if bad or len(meanings) != len(font.DescendantFonts[0].W[1]) else []


def of_page(each) -> list[str]:
    operands = [operand for line in pikepdf.parse_content_stream(each) for operand in line.operands]
    used = {str(operand) for operand in operands if isinstance(operand, pikepdf.Name)}
    resources = [set(map(str, each.obj.Resources.get(kind, {}).keys())) for kind in ("/XObject", "/Font")]
    sides = [float(edge) for edge in each.mediabox][2:]
    checks = {
        "6.2.2 resources": used <= set().union(*resources) and set(each.obj.Resources.keys()) <= {"/XObject", "/Font"},
        "6.2.10 transparency": "/Group" not in each.obj,
        "6.3 annotations": "/Annots" not in each.obj and "/AA" not in each.obj,
        "6.1.13 sides": all(3 <= side <= 14_400 for side in sides),
    }
    return [rule for rule, holds in checks.items() if not holds]


@pytest.mark.parametrize("kind", bodies())
def test_a_pdf_of_an_image_keeps_the_rules_of_pdf_a_and_says_so(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(images, "FORMATS", (*images.FORMATS, "GIF", "JPEG2000"))
    read = page([line("Zoë 文字 \ufeff\ufeffx", 20, 20, 100, 20)], size=(200, 300))
    body = searchable(tmp_path, bodies()[kind], read)
    assert violations(body) == []
    assert body == searchable(tmp_path, bodies()[kind], read)


def test_a_page_that_says_why_there_is_none_keeps_them_too_and_is_seen(tmp_path):
    tiff = encoded(picture(), "TIFF", save_all=True)
    body = searchable(tmp_path, tiff, page([line("one")], size=SIZE), None)
    assert violations(body) == []
    assert text_of(body).endswith("Page 2 was not read: IMAGE_DECODE_FAILED")
    assert (shown(body, (620, 877), 1) < 128).any()


def test_pictures_in_ink_stay_as_they_are_and_their_pdf_does_not_say_it_is_pdf_a(tmp_path):
    jpeg = encoded(picture().convert("CMYK"), "JPEG")
    with pikepdf.open(io.BytesIO(searchable(tmp_path, jpeg, page(size=SIZE)))) as opened:
        assert opened.pages[0].obj.Resources.XObject["/Image"].read_raw_bytes() == jpeg
        assert not {"/OutputIntents", "/Metadata"} & set(opened.Root.keys())


@pytest.mark.parametrize("size", [(20_400, 10), (10, 20_400), (30, 40)])
def test_pages_of_any_shape_are_as_large_as_pdf_a_allows(tmp_path, size):
    png = encoded(Image.new("1", size, 1), "PNG", dpi=(100, 100) if max(size) > 1000 else (2400, 2400))
    assert violations(searchable(tmp_path, png, page(size=size))) == []
