"""Searchable PDFs: the picture as it was, the text where the words are, by two readers of PDFs."""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess

import numpy as np
import pikepdf
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont
from quintet_client.exports.documents import ExportError
from quintet_client.exports.layout.blocks import box_around
from quintet_client.exports.layout.words import words_of
from quintet_client.exports.pdf import searchable as pdf
from quintet_client.exports.pdf.images import page_image

from tests.unit.documents.made_documents import encrypted_pdf, pdf_of
from tests.unit.exports.made_pdfs import SIZE, overlap, picture, searchable, shown, text_of, word_boxes
from tests.unit.exports.made_results import document, encoded, line, original, page, with_turn

QUADS = [[(100, 100), (400, 100), (400, 140), (100, 140)], [(100, 300), (500, 300), (500, 360), (100, 360)]]
TEXTS = ["Total 12.50", "Thank you, Zoë"]
# Behind a scan's own resolution stands a page of its real size.
DPI = 150.0


SMALL = encoded(Image.new("L", (80, 60), "white"), "PNG")


def made(angle_deg=0, texts=TEXTS, quads=QUADS, size=SIZE):
    """A page of that size when upright, its content turned."""
    turned = with_turn(quads, size, angle_deg)
    lines = [
        {"text": text, "score": 1, "quad_px": quad, "region": None} for text, quad in zip(texts, turned, strict=True)
    ]
    return page(lines, size=size if angle_deg % 180 == 0 else size[::-1], angle_deg=angle_deg)


@pytest.mark.parametrize("angle_deg", [0, 90, 180, 270])
def test_words_are_found_where_they_are_and_the_page_shows_upright(tmp_path, angle_deg):
    upright = picture()
    scan = upright.rotate(-angle_deg, expand=True)
    read = made(angle_deg)
    body = searchable(tmp_path, encoded(scan, "PNG", dpi=(DPI, DPI)), read)
    assert text_of(body) == " ".join(TEXTS)
    boxes = dict(word_boxes(body))
    for word in (word for one in read.lines for word in words_of(one)):
        x0, y0, x1, y1 = box_around(word.quad_px)
        expected = (x0 / scan.width, y0 / scan.height, x1 / scan.width, y1 / scan.height)
        assert overlap(boxes[word.text], expected) > 0.95, word.text
    with pypdfium2.PdfDocument(body) as opened:
        assert opened[0].get_size() == pytest.approx((800 / DPI * 72, 1000 / DPI * 72), abs=0.05)
    assert np.abs(shown(body) - np.asarray(upright)).mean() < 1


@pytest.mark.parametrize("slant", [0.01, 0.03, 0.08, 0.5])
def test_words_of_slanted_lines_are_where_they_are(tmp_path, slant):
    quad = [(100, 500), (500, 500 - 400 * slant), (500 + 30 * slant, 530 - 400 * slant), (100 + 30 * slant, 530)]
    read = made(texts=["These words go uphill"], quads=[quad])
    body = searchable(tmp_path, encoded(picture(), "PNG"), read)
    assert text_of(body) == "These words go uphill"
    boxes = dict(word_boxes(body))
    for word in words_of(read.lines[0]):
        x0, y0, x1, y1 = box_around(word.quad_px)
        assert overlap(boxes[word.text], (x0 / 800, y0 / 1000, x1 / 800, y1 / 1000)) > 0.75, word.text


def test_pdftotext_gives_the_words_back(tmp_path):
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (poppler-utils)")
    body = searchable(tmp_path, encoded(picture(SIZE[::-1]), "PNG"), made(90))
    (tmp_path / "made.pdf").write_bytes(body)
    told = subprocess.run(["pdftotext", tmp_path / "made.pdf", "-"], capture_output=True, check=True, text=True)
    assert told.stdout.split() == " ".join(TEXTS).split()
    assert told.stderr == ""


@given(
    st.lists(
        st.text(st.characters(), max_size=12) | st.sampled_from(["שלום עולם", "文字認識", "👩🏽 ok", "()\\<>"]),
        max_size=3,
    )
)
@settings(max_examples=40)
def test_whatever_a_page_says_its_pdf_is_sound_and_holds_its_characters(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("pdf")
    read = page([line(text, y=10.0 * at, x=5) for at, text in enumerate(texts)], size=(80, 60))
    body = searchable(folder, SMALL, read)
    assert body == searchable(folder, SMALL, read)
    with pikepdf.open(io.BytesIO(body)) as opened:
        assert opened.check_pdf_syntax() == []
    assert set(meanings(body)) >= {character.replace("\ufeff", "\u2060") for character in "".join(read.text.split())}


def meanings(body: bytes) -> list[str]:
    """The characters that the text layer's codes stand for, by its ToUnicode map."""
    with pikepdf.open(io.BytesIO(body)) as opened:
        font = opened.pages[0].obj.Resources.Font["/Quintet"]
        lines = re.findall(rb"^<([0-9A-F]{4})> <([0-9a-f]+)>$", font.ToUnicode.read_bytes(), re.MULTILINE)
        return [bytes.fromhex(meaning.decode()).decode("utf-16-be") for _code, meaning in lines]


def test_right_to_left_words_are_found_in_their_own_order(tmp_path):
    body = searchable(tmp_path, encoded(picture(), "PNG"), made(texts=["שלום עולם"], quads=QUADS[:1]))
    assert sorted(text_of(body).split()) == sorted(["שלום", "עולם"])


def tiff_of(count: int) -> bytes:
    pages = [picture((200 + 10 * at, 300)) for at in range(count)]
    return encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])


def test_pages_of_a_tiff_become_one_pdf_and_one_that_failed_says_so(tmp_path):
    reads = [page([line(f"page {at}", 10, 10, 80, 20)], size=(200 + 10 * at, 300)) for at in range(3)]
    body = searchable(tmp_path, tiff_of(3), reads[0], None, reads[2])
    assert text_of(body) == "page 0 page 2"
    body = searchable(tmp_path, tiff_of(1), reads[0], None)
    assert text_of(body) == "page 0 Page 2 was not read: IMAGE_DECODE_FAILED"


def scanned_pdf(rotate=0, box=(0, 0, 400, 500), own_text="", inherited=False) -> bytes:
    """A PDF of one picture, its page turned and moved."""
    made_pdf = pikepdf.new()
    sheet = made_pdf.add_blank_page(page_size=(box[2] - box[0], box[3] - box[1]))
    sheet.MediaBox = pikepdf.Array(list(box))
    image = page_image(encoded(picture(), "PNG"), 1).add_to(made_pdf)
    font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(I=image), Font=pikepdf.Dictionary(F=font))
    holder = made_pdf.Root.Pages if inherited else sheet.obj
    holder.Resources = resources
    if rotate:
        holder.Rotate = rotate
    wide, high = box[2] - box[0], box[3] - box[1]
    content = f"{wide} 0 0 {high} {box[0]} {box[1]} cm /I Do BT /F 0.02 Tf ({own_text}) Tj ET".encode()
    sheet.Contents = made_pdf.make_stream(content)
    target = io.BytesIO()
    made_pdf.save(target, deterministic_id=True)
    return target.getvalue()


@pytest.mark.parametrize("inherited", [False, True])
@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_page_of_a_pdf_stays_and_gets_its_words_where_a_viewer_shows_them(tmp_path, rotate, inherited):
    source = scanned_pdf(rotate, (50, 70, 450, 570), inherited=inherited)
    size = SIZE if rotate % 180 == 0 else SIZE[::-1]
    quads = [[(100, 100), (400, 100), (400, 140), (100, 140)]]
    read = page([{**line("Two words"), "quad_px": quads[0]}], size=size)
    body = searchable(tmp_path, source, read)
    assert text_of(body) == "Two words"
    assert np.abs(shown(body, size) - shown(source, size)).mean() < 0.5
    with pypdfium2.PdfDocument(body) as opened:
        sheet = opened[0]
        wide, high = sheet.get_size()
        text = sheet.get_textpage()
        x0, y0, x1, y1 = text.get_charbox(0)
        # The first letter, from the page's space to what a viewer shows.
        turned = {0: (x0 - 50, 570 - y1), 90: (y0 - 70, x0 - 50), 180: (450 - x1, y0 - 70), 270: (570 - y1, 450 - x1)}
        left, top = turned[rotate]
    assert (left / wide * size[0], top / high * size[1]) == pytest.approx((100, 100), abs=2)


@pytest.mark.parametrize(
    "crop", [(100, 120, 300, 420), (0, 0, 999, 400), (-9, -9, 350, 350), (300, 420, 100, 120)], ids=str
)
def test_words_stand_where_they_are_in_what_the_crop_box_shows(tmp_path, crop):
    with pikepdf.Pdf.open(io.BytesIO(scanned_pdf(box=(50, 70, 450, 570)))) as opened:
        opened.pages[0].CropBox = pikepdf.Array(list(crop))
        opened.save(tmp_path / "cropped.pdf")
    source = (tmp_path / "cropped.pdf").read_bytes()
    with pypdfium2.PdfDocument(source) as opened:
        size = tuple(round(2 * side) for side in opened[0].get_size())
    read = page([{**line("Two words"), "quad_px": [(100, 100), (250, 100), (250, 140), (100, 140)]}], size=size)
    with pypdfium2.PdfDocument(searchable(tmp_path, source, read)) as opened:
        found = opened[0].get_textpage().get_charbox(0)
        shown_box = [max(low) for low in zip((50, 70), (min(crop[0], crop[2]), min(crop[1], crop[3])), strict=True)]
        top = min(570, max(crop[1], crop[3]))
    assert (2 * (found[0] - shown_box[0]), 2 * (top - found[3])) == pytest.approx((100, 100), abs=2)


def test_a_page_that_has_its_text_keeps_it_alone_and_a_stamp_is_no_text(tmp_path):
    read = made()
    assert text_of(searchable(tmp_path, scanned_pdf(own_text="Total 12.50 Thank you, Zoe"), read)).count("Total") == 1
    stamped = text_of(searchable(tmp_path, scanned_pdf(own_text="No. 7"), read))
    assert "No. 7" in stamped
    assert "Thank you, Zoë" in stamped


def test_a_turned_scan_in_a_pdf_shows_upright(tmp_path):
    body = searchable(tmp_path, scanned_pdf(), page([line("word")], size=SIZE, angle_deg=90))
    with pikepdf.open(io.BytesIO(body)) as opened:
        assert opened.pages[0].Rotate == 270


def test_an_original_that_is_not_what_was_read_is_refused(tmp_path):
    body = encoded(picture(), "PNG")
    with pytest.raises(ExportError, match="--input"):
        pdf.render(document(made()))
    with pytest.raises(ExportError, match=r"1000 x 800 pixels.*read it again"):
        searchable(tmp_path, encoded(picture(SIZE[::-1]), "PNG"), made())
    found = original(tmp_path / "a.png", body)
    (tmp_path / "a.png").write_bytes(body + b"more")
    with pytest.raises(ExportError, match=f"{len(body) + 4} bytes"):
        pdf.render(document(made(), original=found))
    (tmp_path / "a.png").unlink()
    with pytest.raises(ExportError, match=r"No such file.*--input"):
        pdf.render(document(made(), original=found))
    with pytest.raises(ExportError, match="no page 1"):
        searchable(tmp_path, b"no image", made())


def test_an_original_that_needs_a_password_says_so(tmp_path):
    for passwords, words in (((), "give it with --password-file"), (("wrong",), "none of those in --password-file")):
        with pytest.raises(ExportError, match=f"needs a password: {words}") as error:
            searchable(tmp_path, encrypted_pdf([picture()], "secret"), made(), passwords=passwords)
        assert "wrong" not in str(error.value)


@pytest.mark.parametrize("revision", [2, 3, 4, 6])
def test_an_original_is_opened_with_the_first_password_that_fits_and_its_export_needs_none(tmp_path, revision):
    kind = pikepdf.Encryption(owner="owner", user="grün", R=revision, aes=revision > 3, metadata=revision > 3)
    body = pdf_of([picture()], encryption=kind)
    for passwords in (("wrong", "grün"), ("owner",)):
        with pikepdf.open(io.BytesIO(searchable(tmp_path, body, made(), passwords=passwords))) as opened:
            assert not opened.is_encrypted
            assert "/Quintet" in opened.pages[0].Resources.Font


def test_the_font_has_a_box_for_every_width_and_no_ink(tmp_path):
    text = "".join(map(chr, range(0x20, 0x17F))) + "文\u0301"
    with pikepdf.open(io.BytesIO(searchable(tmp_path, SMALL, page([line(text)], size=(80, 60))))) as opened:
        (font,) = opened.pages[0].obj.Resources.Font["/Quintet"].DescendantFonts
        body = font.FontDescriptor.FontFile2.read_bytes()
        numbers = struct.unpack(f">{len(font.W[1]) + 1}H", font.CIDToGIDMap.read_bytes())
        assert {number: float(width) for number, width in zip(numbers[1:], font.W[1], strict=True)} == {
            number: 10.0 * number for number in numbers[1:]
        }
    (offsets, widths), boxes = tables_of(body, "loca", "hmtx"), tables_of(body, "glyf")[0]
    for number in range(1, 101):
        (at,) = struct.unpack_from(">H", offsets, 2 * number)
        assert struct.unpack_from(">hhhhh", boxes, 2 * at) == (2, 0, 0, 10 * number, 1000)
        assert struct.unpack_from(">H", widths, 4 * number) == (10 * number,)
    drawn = ImageFont.truetype(io.BytesIO(body), 100)
    assert drawn.getlength("\x00") == 1
    assert drawn.getmask("\x00").getbbox() is None


def tables_of(font: bytes, *names: str) -> list[bytes]:
    """Tables of a TrueType font."""
    (count,) = struct.unpack_from(">H", font, 4)
    entries = [struct.unpack_from(">4sIII", font, 12 + 16 * place) for place in range(count)]
    places = {tag.decode(): (start, start + size) for tag, _, start, size in entries}
    return [font[slice(*places[name])] for name in names]
