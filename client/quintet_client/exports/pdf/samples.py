"""An image's samples as a file has them, for PDF to hold as they are: nothing is decoded, and nothing grows."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pikepdf import Array, Dictionary, Name
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from quintet_client.exports.pdf.tiff import fax_of, jpeg_of, size_of

_SPACES = {"1": "/DeviceGray", "L": "/DeviceGray", "RGB": "/DeviceRGB", "CMYK": "/DeviceCMYK"}
# Of JPEG 2000: sRGB and grey, as ISO 15444-1 numbers the colour spaces of a `colr` box whose method is 1.
_ENUMERATED = {"RGB": 16, "L": 17}
_EIGHT_BITS = 7
_PALETTE = 3  # PNG's colour type


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of an image."""

    data: bytes  # encoded as the filter in `head` says
    head: dict[str, Any]  # the image's dictionary in PDF

    @property
    def is_ink(self) -> bool:
        """Whether they are CMYK."""
        return bool(self.head["/ColorSpace"] == Name.DeviceCMYK)


def samples_of(image: Image.Image, body: bytes) -> Samples | None:
    """Return the samples of the file's image that was opened; None if PDF cannot hold them so."""
    if image.format in {"JPEG", "MPO"} and image.mode in {"L", "RGB", "CMYK"}:
        return _dct(image, body)
    # Grey, RGB or a palette, not interlaced, nothing transparent.
    if image.format == "PNG" and body[25] in {0, 2, _PALETTE} and not body[28] and b"tRNS" not in _chunks(body):
        return flate(body)
    if image.format == "JPEG2000" and _is_plain_jp2(image, body):
        return Samples(body, _head(image.size, image.mode, 8) | {"/Filter": Name.JPXDecode})
    if isinstance(image, TiffImageFile):
        return fax(image, body) if image.mode == "1" else _jpeg_in_tiff(image, body)
    return None


def flate(png: bytes) -> Samples:
    """Take the compressed samples out of a PNG: PDF reads them with the very predictors that PNG writes."""
    width, height, bits, colour = struct.unpack(">IIBB", png[16:26])
    colours, mode = (3, "RGB") if colour == 2 else (1, "L")
    head, chunks = _head((width, height), mode, bits), _chunks(png)
    if colour == _PALETTE:
        palette = chunks[b"PLTE"]
        head["/ColorSpace"] = Array([Name.Indexed, Name.DeviceRGB, len(palette) // 3 - 1, palette])
    head["/Filter"] = Name.FlateDecode
    head["/DecodeParms"] = Dictionary(Predictor=15, Colors=colours, BitsPerComponent=bits, Columns=width)
    return Samples(chunks[b"IDAT"], head)


def fax(image: TiffImageFile, body: bytes) -> Samples | None:
    """The samples of a TIFF in CCITT's Group 4, if they are that."""
    found = fax_of(image, body)
    if found is None:
        return None
    data, is_white_zero = found
    width, height = size_of(image)
    parameters = Dictionary(K=-1, Columns=width, Rows=height, BlackIs1=not is_white_zero)
    return Samples(data, _head((width, height), "1", 1) | {"/Filter": Name.CCITTFaxDecode, "/DecodeParms": parameters})


def _jpeg_in_tiff(image: TiffImageFile, body: bytes) -> Samples | None:
    jpeg = jpeg_of(image, body) if image.mode in {"L", "RGB"} else None
    return Samples(jpeg, _head(size_of(image), image.mode, 8) | {"/Filter": Name.DCTDecode}) if jpeg else None


def _dct(image: Image.Image, jpeg: bytes) -> Samples:
    head = _head(image.size, image.mode, 8) | {"/Filter": Name.DCTDecode}
    if image.mode == "CMYK" and "adobe" in image.info:
        head["/Decode"] = Array([1, 0] * 4)  # Adobe writes ink as its complement
    return Samples(jpeg, head)


def _head(size_px: tuple[int, int], mode: str, bits: int) -> dict[str, Any]:
    return {"/Width": size_px[0], "/Height": size_px[1], "/ColorSpace": Name(_SPACES[mode]), "/BitsPerComponent": bits}


def _is_plain_jp2(image: Image.Image, body: bytes) -> bool:
    """Whether a file in JPEG 2000 is what PDF/A-2 allows without doubt (6.2.8.3): eight bits, grey or sRGB, no more."""
    boxes = [(kind, content) for kind, content in _boxes(body) if kind == b"jp2h"]
    if len(boxes) != 1 or image.mode not in _ENUMERATED:
        return False
    kinds: dict[bytes, list[bytes]] = {}
    for kind, content in _boxes(boxes[0][1]):
        kinds.setdefault(kind, []).append(content)
    match kinds.get(b"ihdr"), kinds.get(b"colr"), kinds.keys() - {b"ihdr", b"colr", b"res "}:
        case [header], [colour], set(others):
            is_known = colour[:1] == b"\1" and colour[3:] == _ENUMERATED[image.mode].to_bytes(4)
            return not others and is_known and header[10:11] == bytes([_EIGHT_BITS])
    return False


def _boxes(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the boxes of a file in JPEG 2000, or those in one of them."""
    start = 0
    while start + 8 <= len(body):
        length, kind = struct.unpack(">I4s", body[start : start + 8])
        if length == 0:  # to the end
            length = len(body) - start
        if length < 8:  # of 64 bits, or damaged
            return
        yield kind, body[start + 8 : start + length]
        start += length


def _chunks(png: bytes) -> dict[bytes, bytes]:
    """Join a PNG's chunks by their kind."""
    chunks: dict[bytes, bytes] = {}
    start = 8
    while start + 8 <= len(png):
        length, kind = struct.unpack(">I4s", png[start : start + 8])
        chunks[kind] = chunks.get(kind, b"") + png[start + 8 : start + 8 + length]
        start += 12 + length
    return chunks
