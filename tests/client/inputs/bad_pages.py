"""A corpus of bad and odd input, made here: damaged, hostile and unusual images, and what is no file at all.

Each is named as in the table of docs/reliability.md, which test_bad_pages.py holds against what happens.
"""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pikepdf
from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tests.fuzz.bombs import gif_of_screen
from tests.heif import heif_of
from tests.unit.documents.made_documents import add_scan, encrypted_pdf, pdf_of, saved, tiff_of

TEXT = "Invoice 4711"
_SIX = Image.Exif()
_SIX[0x0112] = 6
TURNED = _SIX.tobytes()  # encoders of AVIF and HEIF make it irot


def drawn(mode: str = "RGB", size: tuple[int, int] = (420, 200)) -> Image.Image:
    """A small page that says `TEXT`."""
    page = Image.new("L", size, 255)
    ImageDraw.Draw(page).text((30, 70), TEXT, fill=0, font=ImageFont.load_default(size=28))
    return page.convert(mode)


def encoded(page: Image.Image, form: str, **options: object) -> bytes:
    target = io.BytesIO()
    page.save(target, form, **options)
    return target.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(width: int, height: int, rows: bytes, *chunks: bytes) -> bytes:
    """A grey PNG of the given header and data, which need not fit each other."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + body + png_chunk(b"IEND", b"")


def with_chunk(name: bytes, data: bytes) -> bytes:
    """The drawn page as PNG with one more chunk behind its header."""
    page = encoded(drawn(), "PNG")
    return page[:33] + png_chunk(name, data) + page[33:]


def huge_and_blank() -> bytes:
    """A white PNG of 9,900 x 9,900 pixels, just below the limit, in 100 KB: 1000:1."""
    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * 9900
    data = b"".join(packer.compress(row) for _ in range(9900)) + packer.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 9900, 9900, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def jpeg_header_of(width: int, height: int) -> bytes:
    """The drawn page as JPEG whose frame header declares another size."""
    page = bytearray(encoded(drawn(), "JPEG"))
    at = page.index(b"\xff\xc0")
    page[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(page)


def bmp_of(width: int, height: int) -> bytes:
    """The drawn page as BMP whose header declares another size."""
    upside_down = height < 0  # the first row comes first, not last
    page = bytearray(encoded(ImageOps.flip(drawn()) if upside_down else drawn(), "BMP"))
    page[18:26] = struct.pack("<ii", width, height)
    return bytes(page)


def tiff_with_absurd_tags() -> bytes:
    tags = ImageFileDirectory_v2()
    tags[270] = "x" * 100_000
    tags[305] = "\0\xff" * 1000
    tags[65000] = tuple(range(20_000))
    page = bytearray(encoded(drawn(), "TIFF", tiffinfo=tags))
    page += b"\xff" * 64
    return bytes(page)


def tiff_strip_beyond_the_end() -> bytes:
    """A TIFF whose pixels are said to lie four gigabytes away."""
    page = encoded(drawn("L"), "TIFF")
    directory = struct.unpack_from("<I", page, 4)[0]
    changed = bytearray(page)
    for entry in range(struct.unpack_from("<H", page, directory)[0]):
        at = directory + 2 + 12 * entry
        if struct.unpack_from("<H", page, at)[0] == 273:
            struct.pack_into("<I", changed, at + 8, 0xFFFF_FFF0)
    return bytes(changed)


def animated_gif() -> bytes:
    return encoded(drawn(), "GIF", save_all=True, append_images=[drawn()])


def animated(form: str) -> bytes:
    return encoded(drawn(), form, save_all=True, append_images=[Image.new("RGB", (420, 200), "black")])


def pdf_of_three_with_a_damaged_scan() -> bytes:
    """A PDF of one page that is sound, one whose scan is no image, and one that it only claims to have."""
    pdf = pikepdf.Pdf.new()
    add_scan(pdf, drawn())
    add_scan(pdf, drawn(), b"no JPEG at all" * 9, **{"/Filter": pikepdf.Name.DCTDecode})
    whole = saved(pdf, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    return whole.replace(b"/Count 2", b"/Count 3")


def turned_by_exif() -> bytes:
    return encoded(drawn().rotate(90, expand=True), "JPEG", exif=TURNED)


def sixteen_bit() -> bytes:
    return encoded(drawn("L").convert("I").point(lambda value: value * 257).convert("I;16"), "PNG")


def on_a_transparent_ground() -> bytes:
    """A palette image whose ground is transparent, with black below."""
    page = drawn("L").point(lambda value: 1 if value < 128 else 0).convert("P")
    page.putpalette([0, 0, 0, 20, 20, 20])
    return encoded(page, "PNG", transparency=0)


# What a body may be: name in the table, file name, bytes.
BODIES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty file": ("empty.jpg", lambda: b""),
    "4,096 bytes of zero": ("zeros.png", lambda: bytes(4096)),
    "random bytes": ("random.jpg", lambda: random.Random(1).randbytes(5000)),
    "truncated JPEG": ("cut.jpg", lambda: encoded(drawn(), "JPEG")[:2000]),
    "truncated PNG": ("cut.png", lambda: encoded(drawn(), "PNG")[:400]),
    "truncated WebP": ("cut.webp", lambda: encoded(drawn(), "WEBP", lossless=True)[:300]),
    "truncated TIFF": ("cut.tiff", lambda: encoded(drawn(), "TIFF")[:30_000]),
    "one pixel": ("pixel.png", lambda: encoded(Image.new("RGB", (1, 1)), "PNG")),
    "1 x 20,000 pixels": ("column.png", lambda: encoded(Image.new("L", (1, 20_000)), "PNG")),
    "PNG header of 20,000 x 20,000": ("bomb.png", lambda: png_of(20_000, 20_000, b"\0")),
    "JPEG header of 65,535 x 65,535": ("bomb.jpg", lambda: jpeg_header_of(65_535, 65_535)),
    "JPEG header of 9,000 x 9,000, data of 420 x 200": ("stretched.jpg", lambda: jpeg_header_of(9000, 9000)),
    "white PNG of 9,900 x 9,900 in 100 KB": ("blank.png", huge_and_blank),
    "PNG with 50 MB of text in a zTXt chunk": (
        "text.png", lambda: with_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9))
    ),
    "PNG with 50 MB in an iCCP chunk": (
        "profile.png", lambda: with_chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(50_000_000), 9))
    ),
    "BMP of negative height": ("down.bmp", lambda: bmp_of(420, -200)),
    "BMP of negative width": ("left.bmp", lambda: bmp_of(-420, 200)),
    "BMP of 2,147,483,647 x 1": ("wide.bmp", lambda: bmp_of(2**31 - 1, 1)),
    "TIFF with absurd tags": ("tags.tif", tiff_with_absurd_tags),
    "TIFF with its pixels beyond the end": ("beyond.tif", tiff_strip_beyond_the_end),
    "CMYK JPEG": ("cmyk.jpg", lambda: encoded(drawn("CMYK"), "JPEG")),
    "16-bit grey PNG": ("deep.png", sixteen_bit),
    "palette PNG with transparency": ("palette.png", on_a_transparent_ground),
    "truncated GIF": ("cut.gif", lambda: encoded(drawn(), "GIF")[:900]),
    "truncated JPEG 2000": ("cut.jp2", lambda: encoded(drawn(), "JPEG2000")[:3000]),
    "truncated AVIF": ("cut.avif", lambda: encoded(drawn(), "AVIF")[:600]),
    "truncated HEIF": ("cut.heic", lambda: heif_of(drawn())[:1500]),
    "GIF of 60,000 x 60,000 with a frame of a pixel": ("bomb.gif", lambda: gif_of_screen(60_000)),
    "animated GIF": ("moving.gif", animated_gif),
    "JPEG 2000": ("scan.jp2", lambda: encoded(drawn(), "JPEG2000")),
    "AVIF turned by irot": ("turned.avif", lambda: encoded(drawn().rotate(90, expand=True), "AVIF", exif=TURNED)),
    "HEIF turned by irot": ("turned.heic", lambda: heif_of(drawn().rotate(90, expand=True), exif=TURNED)),
    "HEIF called .jpg": ("really-a-heif.jpg", lambda: heif_of(drawn())),
    "animated PNG": ("moving.png", lambda: animated("PNG")),
    "animated WebP": ("moving.webp", lambda: animated("WEBP")),
    "JPEG called .tif": ("really-a-jpeg.tif", lambda: encoded(drawn(), "JPEG")),
    "PDF called .png": ("really-a-pdf.png", lambda: pdf_of([drawn()])),
    "PDF with a password": ("locked.pdf", lambda: encrypted_pdf([drawn()], "secret")),
    "random bytes called .pdf": ("random.pdf", lambda: random.Random(1).randbytes(5000)),
    "PDF without pages": ("none.pdf", lambda: saved(pikepdf.Pdf.new())),
    "JPEG turned by EXIF": ("turned.jpg", turned_by_exif),
    "JPEG called .png": ("really-a-jpeg.png", lambda: encoded(drawn(), "JPEG")),
    "name with a newline and no UTF-8": (os.fsdecode(b"two\nlines \xe9.png"), lambda: encoded(drawn(), "PNG")),
}  # fmt: skip

# Documents: file name, bytes, names in the table by page.
DOCUMENTS: tuple[tuple[str, Callable[[], bytes], dict[int, str]], ...] = (
    ("two.tiff", lambda: tiff_of([drawn(), drawn()]), {1: "page 1 of a TIFF", 2: "page 2 of a TIFF"}),
    (
        "cut-late.tif", lambda: tiff_of([drawn(), drawn()])[:-60_000],
        {1: "page 1 of a TIFF that is cut in page 2", 2: "page 2 of a TIFF that is cut in it"},
    ),
    ("open.pdf", lambda: encrypted_pdf([drawn()]), {1: "page of an encrypted PDF that asks for no password"}),
    (
        "damaged.pdf", pdf_of_three_with_a_damaged_scan,
        {1: "page 1 of a PDF", 2: "page of a PDF whose scan is damaged", 3: "page of a PDF that is not there"},
    ),
)  # fmt: skip


def write_bodies(folder: Path) -> dict[str, str]:
    """Write all bodies into a folder; gives the file's name by the name in the table."""
    for name, make in BODIES.values():
        (folder / name).write_bytes(make())
    return {title: name for title, (name, _) in BODIES.items()}


def write_documents(folder: Path) -> dict[str, str]:
    """Write all documents into a folder; gives the page's id by the name in the table."""
    for name, make, _ in DOCUMENTS:
        (folder / name).write_bytes(make())
    return {title: f"{name}#{number}" for name, _, pages in DOCUMENTS for number, title in pages.items()}


def write_what_is_no_file(folder: Path) -> dict[str, str]:
    """Directories, links and pipes under the names of images; gives the file's name by the name in the table."""
    (folder / "folder.jpg").mkdir()
    (folder / "folder.jpg" / "inner.png").write_bytes(encoded(drawn(), "PNG"))
    (folder / "dangling.jpg").symlink_to("nowhere")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "back").symlink_to(folder)
    return {
        "page in a folder called folder.jpg": "folder.jpg/inner.png",
        "dangling link": "dangling.jpg",
        "link to itself": "loop.jpg",
        "named pipe": "pipe.jpg",
    }
