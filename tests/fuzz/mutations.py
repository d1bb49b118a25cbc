"""Damaged images without end: input number n of a seed is always the same, so that a finding can be made again."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator

from PIL import Image, ImageDraw, ImageFont
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tests.fuzz import bombs
from tests.heif import heif_of

_HEAD = 128  # bytes in which the headers of all formats have their sizes
_ODD_WORDS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _page() -> Image.Image:
    page = Image.linear_gradient("L").resize((96, 64)).convert("RGB")
    ImageDraw.Draw(page).text((8, 20), "Total 12.50", fill="black", font=ImageFont.load_default(14))
    return page


def _encoded(page: Image.Image, form: str, **options: object) -> bytes:
    target = io.BytesIO()
    page.copy().save(target, form, **options)  # saving leaves traces in an image that the next format trips over
    return target.getvalue()


def seeds() -> list[bytes]:
    """Sound images of every format and of the kinds that decoders treat apart."""
    page = _page()
    exif, tags = Image.Exif(), ImageFileDirectory_v2()
    exif[0x0112], exif[0x010E] = 6, "a page"
    tags[270], tags[305] = "a page", "quintet"
    bits, grey, palette = page.convert("1"), page.convert("L"), page.convert("P")
    deep = grey.convert("I").point(lambda value: value * 257).convert("I;16")
    made = [
        *(_encoded(page, "JPEG", **options) for options in ({}, {"progressive": True}, {"subsampling": 0})),
        _encoded(page, "JPEG", exif=exif, icc_profile=bytes(500), dpi=(300, 300)),
        _encoded(page, "JPEG", restart_marker_blocks=2),
        _encoded(grey, "JPEG"),
        _encoded(page.convert("CMYK"), "JPEG"),
        *(_encoded(image, "PNG") for image in (page, page.convert("RGBA"), grey, bits, palette, deep)),
        _encoded(palette, "PNG", transparency=3, icc_profile=bytes(500)),
        _encoded(page, "PNG", exif=exif, dpi=(300, 300), save_all=True, append_images=[page.rotate(180)]),
        *(_encoded(page, "TIFF", compression=how) for how in (None, "tiff_lzw", "tiff_adobe_deflate", "jpeg")),
        *(_encoded(bits, "TIFF", compression=name) for name in ("group4", "packbits")),
        _encoded(page, "TIFF", tiffinfo=tags),
        _encoded(page, "TIFF", save_all=True, append_images=[grey]),
        *(_encoded(image, "TIFF") for image in (deep, palette, page.convert("CMYK"), page.convert("LAB"))),
        *(_encoded(page, "WEBP", **options) for options in ({}, {"lossless": True}, {"exif": exif.tobytes()})),
        _encoded(page.convert("RGBA"), "WEBP", save_all=True, append_images=[page.rotate(180).convert("RGBA")]),
        *(_encoded(image, "BMP") for image in (page, grey, bits, palette)),
        *(_encoded(image, form) for form in ("GIF", "JPEG2000", "AVIF") for image in (page, grey)),
        *(heif_of(image) for image in (page, grey)),
        *(bombs.jpeg_of_scans((96, 64), 20), bombs.jpeg_of_segments(20), bombs.png_of_chunks(20)),
        *(bombs.tiff_of_one_tile(320), bombs.tiff_of_strips(64), bombs.webp_of_canvas(96)),
        bombs.gif_of_screen(96),
    ]
    return made  # noqa: RET504 - a list of its kinds reads best with a name


class Mutator:
    """Makes the inputs of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sound = seeds()

    def input(self, number: int) -> bytes:
        """One input: a sound image after 1 to 4 changes; every hundredth is left as it is."""
        dice = random.Random(f"{self._seed} {number}")
        body = dice.choice(self._sound)
        if number % 100 == 0:
            return body
        for _ in range(dice.choice((1, 1, 2, 4))):
            change = dice.choice(CHANGES)
            body = change(body, dice) if change is not splice else splice(body, dice, dice.choice(self._sound))
        return body


def flip_bits(body: bytes, dice: random.Random) -> bytes:
    """Some bits anywhere."""
    changed = bytearray(body)
    for _ in range(dice.choice((1, 2, 8, 64))):
        if changed:
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def cut(body: bytes, dice: random.Random) -> bytes:
    """The end is missing."""
    return body[: dice.randrange(len(body) + 1)]


def edit_header(body: bytes, dice: random.Random) -> bytes:
    """A word of the head gets a value that sizes and counts should not have."""
    if len(body) < 8:
        return body
    changed = bytearray(body)
    form = dice.choice(("<H", ">H", "<I", ">I"))
    at = dice.randrange(min(_HEAD, len(body)) - 4)
    struct.pack_into(form, changed, at, dice.choice(_ODD_WORDS) & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    return bytes(changed)


def delete_block(body: bytes, dice: random.Random) -> bytes:
    """Some bytes in the middle are missing."""
    begin = dice.randrange(len(body) + 1)
    return body[:begin] + body[begin + dice.randrange(1, 200) :]


def repeat_block(body: bytes, dice: random.Random) -> bytes:
    """Some bytes come several times."""
    begin = dice.randrange(len(body) + 1)
    end = begin + dice.randrange(1, 200)
    return body[:end] + body[begin:end] * dice.randrange(1, 20) + body[end:]


def insert_noise(body: bytes, dice: random.Random) -> bytes:
    """Noise in between."""
    at = dice.randrange(len(body) + 1)
    return body[:at] + dice.randbytes(dice.randrange(1, 100)) + body[at:]


def splice(body: bytes, dice: random.Random, other: bytes = b"") -> bytes:
    """Begins as one image and ends as another."""
    return body[: dice.randrange(len(body) + 1)] + other[dice.randrange(len(other) + 1) :]


def shuffle_chunks(body: bytes, dice: random.Random) -> bytes:
    """A part of the container is left out, repeated or put elsewhere."""
    parts = list(_parts(body))
    if len(parts) < 3:
        return delete_block(body, dice)
    which = dice.randrange(1, len(parts))
    part = parts.pop(which) if dice.random() < 0.7 else parts[which]
    for _ in range(dice.choice((0, 1, 1, 3))):
        parts.insert(dice.randrange(1, len(parts) + 1), part)
    return b"".join(parts)


def edit_sealed(body: bytes, dice: random.Random) -> bytes:
    """Some bytes of a PNG's chunk, whose checksum is then made right; any other image as `flip_bits`."""
    parts = list(_parts(body))
    if not body.startswith(b"\x89PNG") or len(parts) < 2:
        return flip_bits(body, dice)
    which = dice.randrange(1, len(parts))
    name, data = parts[which][4:8], parts[which][8:-4]
    data = edit_header(data, dice) if dice.random() < 0.5 else flip_bits(data, dice)
    parts[which] = struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return b"".join(parts)


def edit_tag(body: bytes, dice: random.Random) -> bytes:
    """A field of a TIFF's directory; any other image as `edit_header`."""
    if not body.startswith(b"II*\0") or len(body) < 16:
        return edit_header(body, dice)
    directory = struct.unpack_from("<I", body, 4)[0]
    if directory + 14 > len(body):
        return edit_header(body, dice)
    entries = struct.unpack_from("<H", body, directory)[0]
    at = directory + 2 + 12 * dice.randrange(max(1, entries)) + dice.choice((0, 2, 4, 8))
    if at + 4 > len(body):
        return edit_header(body, dice)
    changed = bytearray(body)
    value = dice.choice((*_ODD_WORDS, dice.randrange(2**32), dice.randrange(len(body))))
    struct.pack_into("<I", changed, at, value)
    return bytes(changed)


Change = Callable[[bytes, random.Random], bytes]
CHANGES: tuple[Change, ...] = (
    flip_bits, cut, edit_header, delete_block, repeat_block, insert_noise, splice, shuffle_chunks, edit_sealed,
    edit_tag,
)  # fmt: skip


def _parts(body: bytes) -> Iterator[bytes]:
    """The chunks of a PNG or RIFF, the segments of a JPEG, others in one piece: all bytes, in order."""
    if body.startswith(b"\x89PNG"):
        head, after, form, more = 8, 8, ">I", 12
    elif body.startswith(b"RIFF"):
        head, after, form, more = 12, 8, "<I", 8
    elif body.startswith(b"\xff\xd8"):
        head, after, form, more = 2, 4, ">H", 2
    else:
        yield body
        return
    yield body[:head]
    at = head
    while at + after <= len(body):
        length_at = {8: 0, 12: 4, 2: 2}[head]
        length = struct.unpack_from(form, body, at + length_at)[0]
        yield body[at : at + more + length]
        at += more + length
    if at < len(body):
        yield body[at:]
