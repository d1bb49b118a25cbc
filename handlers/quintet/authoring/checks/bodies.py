"""What chains are checked with: drawn images of several sizes, and damaged ones."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from quintet.errors import SettingsError

_SIZES_PX = ((320, 240), (240, 320), (400, 300), (280, 280), (520, 200))
_COUNT = 16
_MOST = 64


def draw_bodies() -> list[bytes]:
    """Encoded images, always the same: colours that flow, shapes and words on them; JPEG and PNG in turn."""
    return [_draw(number) for number in range(_COUNT)]


def bodies_in(folder: Path) -> list[bytes]:
    """The first files of a folder, by name.

    Raises:
        SettingsError: there are none.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())[:_MOST]
    if not files:
        raise SettingsError(f"{folder} holds no files: give a folder with some that the chain takes")
    return [path.read_bytes() for path in files]


def bad_bodies(good: bytes) -> dict[str, bytes]:
    """Bodies that are no image, by what is wrong with them."""
    return {
        "an empty body": b"",
        "noise": np.random.default_rng(0).bytes(1000),
        "a body cut off": good[: len(good) // 3],
        "a header of 60,000 x 60,000 pixels": _huge_header(),
    }


def _draw(number: int) -> bytes:
    draw = np.random.default_rng(number)
    size_px = _SIZES_PX[number % len(_SIZES_PX)]
    colours = Image.fromarray(draw.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    image = colours.resize(size_px, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    left, top = draw.integers(0, 100, 2).tolist()
    pen.ellipse((left, top, left + 90, top + 90), fill=tuple(draw.integers(0, 256, 3).tolist()))
    pen.text((10, 100 + top // 2), f"image {number} of {_COUNT}", fill="black", font=ImageFont.load_default(24))
    body = io.BytesIO()
    image.save(body, ("JPEG", "PNG")[number % 2])
    return body.getvalue()


def _huge_header() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
