"""What a TIFF holds of JPEG and Group 4 goes into the PDF as it is, and shows as it did."""

from __future__ import annotations

import io
import struct

import numpy as np
import pikepdf
import pytest
from PIL import Image, ImageOps
from quintet_client.exports.pdf.images import page_image

from tests.unit.exports.made_pdfs import picture, searchable, shown
from tests.unit.exports.made_results import encoded, page

SIZE = (330, 470)  # no multiple of 16
STRIP_STARTS, STRIP_SIZES, JPEG_TABLES = 273, 279, 347
ORIENTATION, PHOTOMETRIC, FILL_ORDER = 274, 262, 266

# Pillow writes red, green and blue as they are; all decoders of JPEG take three colours for YCbCr but for this marker.
ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"


def textured(mode="RGB", size=SIZE) -> Image.Image:
    """A picture with colours and edges everywhere, so that no part could be another."""
    noise = np.random.default_rng(3).normal(0, 12, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(picture(size)) * 0.8 + 20 + noise, 0, 255).astype(np.uint8)).convert(mode)


def tiff(image, **options) -> bytes:
    return encoded(image, "TIFF", dpi=(144, 144), **options)  # so that a point is two pixels, and shown so


def strips_of(body: bytes, number=1) -> tuple[list[bytes], bytes]:
    """The strips of a TIFF, and the tables that stand elsewhere."""
    with Image.open(io.BytesIO(body)) as image:
        image.seek(number - 1)
        tags = image.tag_v2
        places = zip(tags[STRIP_STARTS], tags[STRIP_SIZES], strict=True)
        return [body[start : start + size] for start, size in places], tags.get(JPEG_TABLES, b"")


def as_pillow_sees(body: bytes, number=1) -> Image.Image:
    with Image.open(io.BytesIO(body)) as image:
        image.seek(number - 1)
        return ImageOps.exif_transpose(image).convert("RGB")


def in_pdf(made: bytes):
    with pikepdf.open(io.BytesIO(made)) as opened:
        image = opened.pages[0].obj.Resources.XObject["/Image"]
        return str(image.Filter), image.read_raw_bytes()


def scans_of(jpeg: bytes) -> bytes:
    """The coded data of a JPEG of one scan."""
    start = jpeg.index(b"\xff\xda")
    return jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4]) : jpeg.index(b"\xff\xd9", start)]


JPEGS = {
    "one strip": {"strip_size": 1 << 24},
    "many strips": {"strip_size": 16 * 3 * SIZE[0]},
    "many strips, colours in full size": {"strip_size": 16 * 3 * SIZE[0], "subsampling": 0},
    "best": {"strip_size": 1 << 24, "quality": 95},
}


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_in_a_tiff_is_in_the_pdf_with_the_very_data_of_its_strips(tmp_path, kind, mode):
    body = tiff(textured(mode), compression="jpeg", **JPEGS[kind])
    made = searchable(tmp_path, body, page(size=SIZE))
    filters, jpeg = in_pdf(made)
    assert filters == "/DCTDecode"
    strips, tables = strips_of(body)
    assert (len(strips) > 1) is ("many" in kind)
    if len(strips) == 1:
        adobe = ADOBE if mode == "RGB" else b""
        assert jpeg == b"\xff\xd8" + adobe + tables[2:-2] + strips[0][2:]
    restarts = [bytes([0xFF, 0xD0 + number % 8]) for number in range(len(strips) - 1)]
    scans = [scans_of(strip) for strip in strips]
    assert scans_of(jpeg) == b"".join(part for pair in zip(scans, [*restarts, b""], strict=True) for part in pair)
    assert len(made) < len(body) + 6000
    expected = np.asarray(as_pillow_sees(body)).astype(int)
    assert np.abs(shown(made, SIZE) - expected).mean() < 3
    with Image.open(io.BytesIO(jpeg)) as opened:
        assert np.abs(np.asarray(opened.convert("RGB")).astype(int) - expected).mean() < (
            0.5 if "many" in kind else 0.01
        )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_in_a_tiff_that_says_it_is_turned_shows_as_viewers_show_it(tmp_path, orientation):
    body = tiff(textured(), compression="jpeg", tiffinfo={ORIENTATION: orientation})
    expected = as_pillow_sees(body)
    made = searchable(tmp_path, body, page(size=expected.size))
    assert in_pdf(made)[0] == "/DCTDecode"
    assert np.abs(shown(made, expected.size) - np.asarray(expected)).mean() < 4


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_same_data_in_other_colours_shows_in_those(tmp_path, orientation):
    """Photometric interpretation 2 or 6, RGB or YCbCr; where the JPEG alone would say another one, it is decoded."""
    written = tiff(textured(), compression="jpeg", strip_size=1 << 24, tiffinfo={ORIENTATION: orientation})
    tag = (PHOTOMETRIC.to_bytes(2, "little") + b"\3\0\1\0\0\0", b"\2\0")
    seen = []
    for photometric in (b"\2\0", b"\6\0"):
        body = written.replace(b"".join(tag), tag[0] + photometric)
        expected = as_pillow_sees(body)
        made = searchable(tmp_path, body, page(size=expected.size))
        assert np.abs(shown(made, expected.size) - np.asarray(expected)).mean() < 3
        seen.append(np.asarray(expected).astype(int))
    assert np.abs(seen[0] - seen[1]).mean() > 20


def test_each_page_of_a_tiff_is_taken_as_it_is(tmp_path):
    body = encoded(textured(), "TIFF", compression="jpeg", save_all=True, append_images=[textured("L"), textured()])
    for number in (1, 2, 3):
        samples = page_image(body, number).samples
        assert str(samples.head["/Filter"]) == "/DCTDecode"
        assert str(samples.head["/ColorSpace"]) == ("/DeviceGray" if number == 2 else "/DeviceRGB")


@pytest.mark.parametrize("rows", [94, 160], ids=["ends within a unit", "differs in its tables"])
def test_strips_that_do_not_fit_together_are_decoded(tmp_path, rows):
    qualities = {0: 75} if rows == 94 else {0: 75, 160: 90, 320: 40}
    strips = [whole_jpeg(top, rows, qualities.get(top, 75)) for top in range(0, SIZE[1], rows)]
    body = made_tiff(strips, rows)
    made = searchable(tmp_path, body, page(size=SIZE))
    assert in_pdf(made)[0] == "/FlateDecode"
    assert np.abs(shown(made, SIZE) - np.asarray(as_pillow_sees(body))).mean() < 1


def test_whole_jpegs_in_strips_are_joined(tmp_path):
    """YCbCr, colours of half the size, tables in each strip, the last one lower."""
    body = made_tiff([whole_jpeg(top, 160, 75) for top in (0, 160, 320)], 160)
    made = searchable(tmp_path, body, page(size=SIZE))
    assert in_pdf(made)[0] == "/DCTDecode"
    assert np.abs(shown(made, SIZE) - np.asarray(as_pillow_sees(body))).mean() < 3


def whole_jpeg(top: int, rows: int, quality: int) -> bytes:
    """A strip of the picture as a JPEG file."""
    return encoded(textured().crop((0, top, SIZE[0], min(top + rows, SIZE[1]))), "JPEG", quality=quality)


def made_tiff(strips: list[bytes], rows: int) -> bytes:
    """A TIFF of strips that are whole JPEGs in YCbCr, at 144 dpi."""
    starts = [8 + sum(map(len, strips[:number])) for number in range(len(strips))]
    size, resolution = ([(3, side)] for side in SIZE), [(5, 144, 1)]
    entries = {256: next(size), 257: next(size), 258: [(3, 8)] * 3, 259: [(3, 7)], PHOTOMETRIC: [(3, 6)]}
    entries |= {277: [(3, 3)], 278: [(3, rows)], 282: resolution, 283: resolution, 296: [(3, 2)], 530: [(3, 2)] * 2}
    entries |= {STRIP_STARTS: [(4, start) for start in starts], STRIP_SIZES: [(4, len(strip)) for strip in strips]}
    behind, directory, extra = 8 + sum(map(len, strips)), struct.pack("<H", len(entries)), b""
    for tag, values in sorted(entries.items()):
        kind = values[0][0]
        packed = b"".join(struct.pack({3: "<H", 4: "<I", 5: "<II"}[kind], *value) for _, *value in values)
        if len(packed) > 4:
            place, extra = behind + 2 + 12 * len(entries) + 4 + len(extra), extra + packed
            packed = struct.pack("<I", place)
        directory += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return b"".join([b"II*\0", struct.pack("<I", behind), *strips, directory, bytes(4), extra])


def test_a_fax_in_one_strip_is_taken_as_it_is_and_bits_in_the_other_order_are_turned(tmp_path):
    page_of_text = textured("1")
    body = tiff(page_of_text, compression="group4", strip_size=1 << 24)
    (strip,), _ = strips_of(body)
    made = searchable(tmp_path, body, page(size=SIZE))
    assert in_pdf(made) == ("/CCITTFaxDecode", strip)
    assert np.abs(shown(made, SIZE) - np.asarray(page_of_text.convert("RGB"))).mean() < 1


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("fill_order", [1, 2])
def test_a_fax_shows_as_it_did_whatever_its_zeros_and_its_first_bits_are(tmp_path, photometric, fill_order):
    tags = {PHOTOMETRIC: photometric, FILL_ORDER: fill_order}
    body = tiff(textured("1"), compression="group4", strip_size=1 << 24, tiffinfo=tags)
    expected = as_pillow_sees(body)
    made = searchable(tmp_path, body, page(size=SIZE))
    assert in_pdf(made)[0] == "/CCITTFaxDecode"
    assert np.abs(shown(made, SIZE) - np.asarray(expected)).mean() < 1


@pytest.mark.parametrize("options", [{"compression": "group4"}, {"compression": "group3"}, {}], ids=str)
def test_black_and_white_that_is_coded_otherwise_is_coded_as_a_fax_without_loss_and_smaller(tmp_path, options):
    text = picture((1200, 1600)).convert("1", dither=Image.Dither.NONE)
    body = tiff(text, strip_size=4000, **options)
    made = searchable(tmp_path, body, page(size=text.size))
    assert in_pdf(made)[0] == "/CCITTFaxDecode"
    assert len(in_pdf(made)[1]) < len(encoded(text, "PNG"))
    assert np.abs(shown(made, text.size) - np.asarray(text.convert("RGB"))).max() == 0
