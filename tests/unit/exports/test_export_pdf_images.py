"""Pictures in searchable PDFs: as they were, as viewers show them, as large as the paper."""

from __future__ import annotations

import io
import re
import struct

import numpy as np
import pikepdf
import pytest
from PIL import Image, ImageOps
from quintet.pixels import images
from quintet_client.exports.pdf.images import page_image

from tests.unit.exports.made_pdfs import SIZE, picture, searchable, shown
from tests.unit.exports.made_results import encoded, line, page


def test_a_jpeg_is_embedded_byte_for_byte(tmp_path):
    jpeg = encoded(picture(), "JPEG", quality=90, dpi=(300, 300))
    body = searchable(tmp_path, jpeg, page(size=SIZE))
    with pikepdf.open(io.BytesIO(body)) as opened:
        image = opened.pages[0].obj.Resources.XObject["/Image"]
        assert image.read_raw_bytes() == jpeg
        assert [float(edge) for edge in opened.pages[0].mediabox] == pytest.approx([0, 0, 192, 240])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
def test_a_file_that_says_it_is_turned_shows_as_viewers_show_it(tmp_path, form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    raw = picture((300, 200))
    body = encoded(raw, form, exif=exif)
    with Image.open(io.BytesIO(body)) as opened:
        expected = ImageOps.exif_transpose(opened).convert("RGB")
    result = searchable(tmp_path, body, page([line("word", 20, 20, 100, 20)], size=expected.size))
    assert np.abs(shown(result, expected.size) - np.asarray(expected)).mean() < 6


def kinds_of_images():
    """One image of each kind that files bring."""
    image = picture((120, 80))
    grey = image.convert("L")
    clear = image.convert("RGBA")
    clear.putalpha(grey.point(lambda value: 255 - value // 2))
    bilevel = image.convert("1", dither=Image.Dither.NONE)
    deep = Image.fromarray((np.asarray(grey).astype(np.uint16) << 8) | 7)
    return {
        "rgb.png": (image, "PNG"), "grey.png": (grey, "PNG"), "bilevel.png": (bilevel, "PNG"),
        "palette.png": (image.convert("P"), "PNG"), "clear.png": (clear, "PNG"), "deep.png": (deep, "PNG"),
        "grey.jpg": (grey, "JPEG"), "ink.jpg": (image.convert("CMYK"), "JPEG"), "rgb.bmp": (image, "BMP"),
        "rgb.webp": (image, "WEBP"), "bilevel.tif": (bilevel, "TIFF"),
        "ink.tif": (image.convert("CMYK"), "TIFF"),
    }  # fmt: skip


@pytest.mark.parametrize("kind", kinds_of_images())
def test_an_image_of_any_kind_shows_as_it_is(tmp_path, kind):
    image, form = kinds_of_images()[kind]
    options = {"WEBP": {"lossless": True}, "TIFF": {"compression": "tiff_lzw"}}.get(form, {})
    body = encoded(image, form, **options)
    expected = image
    if image.mode == "RGBA":
        expected = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode.startswith("I"):
        expected = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    result = searchable(tmp_path, body, page(size=image.size))
    # CMYK is turned into RGB by different formulas.
    assert np.abs(shown(result, image.size) - np.asarray(expected.convert("RGB"))).mean() < (40 if "ink" in kind else 5)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P"])
def test_what_png_holds_as_pdf_does_is_passed_through(mode):
    png = encoded(picture().convert(mode), "PNG")
    samples = b"".join(
        png[found.end() : found.end() + struct.unpack(">I", png[found.start() - 4 : found.start()])[0]]
        for found in re.finditer(b"IDAT", png)
    )
    assert page_image(png, 1).samples.data == samples


@pytest.fixture
def more_formats(monkeypatch):
    """The formats that a service may read beside its usual ones."""
    monkeypatch.setattr(images, "FORMATS", (*images.FORMATS, "GIF", "JPEG2000"))


@pytest.mark.usefixtures("more_formats")
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_2000_is_embedded_byte_for_byte(tmp_path, mode):
    image = picture().convert(mode)
    body = encoded(image, "JPEG2000")
    result = searchable(tmp_path, body, page(size=SIZE))
    with pikepdf.open(io.BytesIO(result)) as opened:
        embedded = opened.pages[0].obj.Resources.XObject["/Image"]
        assert (embedded.Filter, embedded.read_raw_bytes()) == ("/JPXDecode", body)
    assert np.abs(shown(result) - np.asarray(image.convert("RGB"))).mean() < 1


@pytest.mark.usefixtures("more_formats")
@pytest.mark.parametrize("kind", ["clear", "deep", "bare"])
def test_a_jpeg_2000_of_another_kind_is_decoded(tmp_path, kind):
    """What PDF/A does not allow without doubt: transparency, more than eight bits, a stream without its boxes."""
    image, grey = picture(), picture().convert("L")
    clear = image.convert("RGBA")
    clear.putalpha(255)
    body = {
        "clear": lambda: encoded(clear, "JPEG2000"),
        "deep": lambda: encoded(Image.fromarray(np.asarray(grey).astype(np.uint16) << 8), "JPEG2000"),
        "bare": lambda: encoded(image, "JPEG2000", no_jp2=True),
    }[kind]()
    result = searchable(tmp_path, body, page(size=SIZE))
    with pikepdf.open(io.BytesIO(result)) as opened:
        assert opened.pages[0].obj.Resources.XObject["/Image"].Filter == "/FlateDecode"
    expected = grey if kind == "deep" else image
    assert np.abs(shown(result) - np.asarray(expected.convert("RGB"))).mean() < 1


@pytest.mark.usefixtures("more_formats")
def test_of_an_animation_the_first_frame_is_shown(tmp_path):
    frames = [picture().convert("P"), Image.new("P", SIZE)]
    body = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    result = searchable(tmp_path, body, page(size=SIZE))
    assert np.abs(shown(result) - np.asarray(picture())).mean() < 3


@pytest.mark.parametrize(("dpi", "height_pt"), [(None, 842), (72, 842), (300, 240), (9999, 842)])
def test_a_page_without_a_plausible_resolution_is_as_long_as_a4(dpi, height_pt):
    options = {} if dpi is None else {"dpi": (dpi, dpi)}
    assert page_image(encoded(picture(), "PNG", **options), 1).size_pt[1] == pytest.approx(height_pt, abs=0.5)
