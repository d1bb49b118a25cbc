from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from quintet.errors import Code, PageError
from quintet.pages.settings import Settings
from quintet.pixels.formats import FORMATS, HEAD_BYTES, format_of, is_image
from quintet.pixels.images import decode_image

from tests.conftest import draw_page, encode
from tests.fuzz.bombs import gif_of_screen
from tests.heif import heif_of

SETTINGS = Settings()
PAGE = draw_page(["codec"], (200, 120))


def declared_png(width: int, height: int) -> bytes:
    """A tiny PNG whose header declares a size that its data does not have."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_gives_the_page(form: str) -> None:
    body = heif_of(PAGE) if form == "HEIF" else encode(PAGE, form)
    assert (format_of(body[:HEAD_BYTES]), is_image(body)) == (form, True)
    image = decode_image(body, SETTINGS)
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image, float) - np.asarray(PAGE, float)).mean() < 4


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", Code.EMPTY_BODY),
        (b"no image at all", Code.UNSUPPORTED_FORMAT),
        (b"%PDF-1.7 and so on", Code.UNSUPPORTED_FORMAT),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomiso2", Code.UNSUPPORTED_FORMAT),
        (gif_of_screen(60_000), Code.IMAGE_TOO_LARGE),
        (encode(PAGE, "JPEG")[:700], Code.IMAGE_DECODE_FAILED),
        (encode(PAGE, "PNG")[:300], Code.IMAGE_DECODE_FAILED),
        (b"\xff\xd8\xff\xe0 garbage", Code.IMAGE_DECODE_FAILED),
        (declared_png(20_000, 20_000), Code.IMAGE_TOO_LARGE),
        (encode(Image.new("RGB", (1, 1))), Code.IMAGE_TOO_SMALL),
        (encode(Image.new("RGB", (1, 2000))), Code.IMAGE_TOO_SMALL),
    ],
    ids=["empty", "text", "pdf", "film", "screen", "cut jpeg", "cut png", "garbage", "bomb", "one pixel", "one column"],
)
def test_a_bad_body_has_its_own_code(body: bytes, code: Code) -> None:
    with pytest.raises(PageError) as error:
        decode_image(body, SETTINGS)
    assert error.value.failure.code is code


CODINGS = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "tiff": ("TIFF", {}),
    "lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {}),
    "lossless": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "gif": ("GIF", {}),
    "jpeg 2000": ("JPEG2000", {}),
    "tiles": ("JPEG2000", {"tile_size": (64, 64)}),
    "codestream": ("JPEG2000", {"no_jp2": True}),
    "avif": ("AVIF", {}),
    "heif": ("HEIF", {}),
}


@pytest.mark.filterwarnings("ignore")  # Pillow tells of some cuts by a warning besides
@pytest.mark.parametrize("coding", CODINGS)
def test_a_cut_image_is_a_failure_wherever_it_is_cut_and_never_a_page_with_an_empty_rest(coding: str) -> None:
    form, options = CODINGS[coding]
    body = heif_of(PAGE) if form == "HEIF" else encode(PAGE, form, **options)
    for percent in range(5, 95, 5):
        with pytest.raises(PageError) as error:
            decode_image(body[: len(body) * percent // 100], SETTINGS)
        assert error.value.failure.code is Code.IMAGE_DECODE_FAILED


def test_a_jpeg_whose_data_cannot_fill_its_frame_is_truncated_even_if_it_ends_in_order() -> None:
    body = bytearray(encode(PAGE, "JPEG"))
    frame = body.index(b"\xff\xc0")
    struct.pack_into(">HH", body, frame + 5, 9000, 9000)
    with pytest.raises(PageError, match="cannot hold 9000 x 9000"):
        decode_image(bytes(body), SETTINGS)


def test_the_smallest_jpeg_of_a_blank_page_is_a_page() -> None:
    blank = Image.new("L", (3000, 4000), 255)
    for options in ({}, {"optimize": True}, {"progressive": True, "optimize": True}):
        assert decode_image(encode(blank, "JPEG", quality=1, **options), SETTINGS).size == (3000, 4000)


def test_too_many_bytes_are_refused_before_decoding() -> None:
    with pytest.raises(PageError) as error:
        decode_image(b"x" * 11, Settings(max_body_bytes=10))
    assert error.value.failure.code is Code.IMAGE_TOO_LARGE
    assert "11" in error.value.failure.message


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_image(encode(PAGE, "JPEG", exif=exif), SETTINGS).size == (120, 200)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_what_irot_and_imir_turn_is_turned_once(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    corner = Image.new("RGB", (80, 120), "white")
    corner.paste("black", (0, 0, 20, 30))
    told = exif.tobytes()  # the encoders take it out, and write irot and imir instead
    body = heif_of(corner, exif=told) if form == "HEIF" else encode(corner, form, exif=told)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(encode(corner, exif=told))))
    found = decode_image(body, SETTINGS)
    assert found.size == turned.size
    assert np.abs(np.asarray(found, float) - np.asarray(turned, float)).mean() < 8


def test_a_heif_without_its_library_is_refused_with_the_name_of_what_is_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PageError, match=r"pip install 'quintet\[heic\]'") as error:
        decode_image(heif_of(PAGE), SETTINGS)
    assert error.value.failure.code is Code.UNSUPPORTED_FORMAT


def test_a_pdf_that_is_taken_for_an_image_is_told_what_to_do() -> None:
    with pytest.raises(PageError, match=r"it is a PDF: give its file the extension \.pdf"):
        decode_image(b"%PDF-1.7", SETTINGS)


def test_of_an_animation_the_first_frame_is_the_page() -> None:
    for form in ("GIF", "AVIF"):
        body = encode(PAGE, form, save_all=True, append_images=[Image.new("RGB", PAGE.size)])
        assert np.asarray(decode_image(body, SETTINGS)).mean() > 180


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert decode_image(encode(clear), SETTINGS).getpixel((5, 5)) == (255, 255, 255)
    palette = Image.new("P", (20, 20), 0)
    assert decode_image(encode(palette, transparency=0), SETTINGS).getpixel((5, 5)) == (255, 255, 255)


def test_sixteen_bit_grey_keeps_its_range() -> None:
    ramp = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    image = np.asarray(decode_image(encode(Image.fromarray(ramp)), SETTINGS))
    assert image.min() == 0
    assert image.max() >= 254
    assert 100 < image.mean() < 155


def test_cmyk_and_grey_become_rgb() -> None:
    for mode in ("CMYK", "L", "1"):
        target = io.BytesIO()
        PAGE.convert(mode).save(target, "TIFF")
        image = decode_image(target.getvalue(), SETTINGS)
        assert image.mode == "RGB"
        assert np.asarray(image).mean() > 180
