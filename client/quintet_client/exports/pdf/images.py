"""Page images as PDF holds them: JPEG as it is, everything else without loss."""

import io
import struct
from dataclasses import dataclass
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Matrix, Name
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")
# Below 100 dpi a file says 72 or 96 because its writer did not know; nothing reads a page printed at more than 2400.
_PLAUSIBLE_DPI = (100.0, 2400.0)
_UNKNOWN_LONG_SIDE_PT = 297 / 25.4 * 72  # A4
_POINTS_PER_INCH = 72.0
_ORIENTATION = 0x0112  # EXIF
_JPEG_SPACES = {"L": "/DeviceGray", "RGB": "/DeviceRGB", "CMYK": "/DeviceCMYK"}
# From the unit square that PDF paints images in to the page as a viewer shows it, for each EXIF orientation.
_TURNS = {
    1: Matrix(1, 0, 0, 1, 0, 0),
    2: Matrix(-1, 0, 0, 1, 1, 0),
    3: Matrix(-1, 0, 0, -1, 1, 1),
    4: Matrix(1, 0, 0, -1, 0, 1),
    5: Matrix(0, -1, -1, 0, 1, 1),
    6: Matrix(0, -1, 1, 0, 0, 1),
    7: Matrix(0, 1, 1, 0, 0, 0),
    8: Matrix(0, 1, -1, 0, 1, 0),
}


@dataclass(frozen=True, slots=True)
class PageImage:
    """An image ready to be painted; sizes as a viewer shows it."""

    size_px: tuple[int, int]
    size_pt: tuple[float, float]
    paint: Matrix  # from the unit square to the page, in points
    data: bytes  # samples, encoded as the filter in `head` says
    head: dict[str, Any]  # the image's dictionary in PDF

    def add_to(self, pdf: pikepdf.Pdf) -> pikepdf.Object:
        """Write the image into a PDF."""
        return pdf.make_stream(self.data, Dictionary({"/Type": Name.XObject, "/Subtype": Name.Image, **self.head}))


def page_image(body: bytes, number: int) -> PageImage:
    """Prepare one image of a file, counted from 1.

    Raises:
        OSError, ValueError, EOFError: it has no such image, or none that can be decoded.
    """
    with Image.open(io.BytesIO(body), formats=FORMATS) as image:
        image.seek(number - 1)
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1), _TURNS[1])
        size_px, dpi = image.size, image.info.get("dpi", (0, 0))
        if turn.a == 0:
            size_px, dpi = size_px[::-1], dpi[::-1]
        taken = _taken_as_it_is(image, body)
        if taken is None:
            upright, png = ImageOps.exif_transpose(image), io.BytesIO()
            _plain(upright).save(png, "PNG")
            size_px, turn, taken = upright.size, _TURNS[1], _from_png(png.getvalue())
        size_pt = _size_pt(size_px, *map(float, dpi[:2]))
        return PageImage(size_px, size_pt, turn @ Matrix().scaled(*size_pt), *taken)


def _taken_as_it_is(image: Image.Image, body: bytes) -> tuple[bytes, dict[str, Any]] | None:
    """Return an image's own samples if PDF can hold them, not decoded."""
    if image.format in {"JPEG", "MPO"} and image.mode in _JPEG_SPACES:
        head = _head(image.size, _JPEG_SPACES[image.mode], 8)
        head["/Filter"] = Name.DCTDecode
        if image.mode == "CMYK" and "adobe" in image.info:
            head["/Decode"] = Array([1, 0] * 4)  # Adobe writes ink as its complement
        return body, head
    # Grey or RGB, not interlaced, nothing transparent.
    if image.format == "PNG" and body[25] in {0, 2} and not body[28] and b"tRNS" not in _chunks(body):
        return _from_png(body)
    return None


def _size_pt(size_px: tuple[int, int], x_dpi: float, y_dpi: float) -> tuple[float, float]:
    """Return the page's size: by the file's resolution if it knows one, or else as long as A4 is."""
    low, high = _PLAUSIBLE_DPI
    if not (low <= x_dpi <= high and low <= y_dpi <= high):
        x_dpi = y_dpi = max(size_px) * _POINTS_PER_INCH / _UNKNOWN_LONG_SIDE_PT
    return (size_px[0] / x_dpi * _POINTS_PER_INCH, size_px[1] / y_dpi * _POINTS_PER_INCH)


def _head(size_px: tuple[int, int], space: str, bits: int) -> dict[str, Any]:
    return {"/Width": size_px[0], "/Height": size_px[1], "/ColorSpace": Name(space), "/BitsPerComponent": bits}


def _plain(image: Image.Image) -> Image.Image:
    """Keep black and white and grey; make everything else RGB, transparency laid on white as the service reads it."""
    if image.mode in {"1", "L"} and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _from_png(png: bytes) -> tuple[bytes, dict[str, Any]]:
    """Take the compressed samples out of a PNG: PDF reads them with the very predictors that PNG writes."""
    width, height, bits, colour = struct.unpack(">IIBB", png[16:26])
    colours, space = (3, "/DeviceRGB") if colour == 2 else (1, "/DeviceGray")
    head = _head((width, height), space, bits)
    head["/Filter"] = Name.FlateDecode
    head["/DecodeParms"] = Dictionary(Predictor=15, Colors=colours, BitsPerComponent=bits, Columns=width)
    return _chunks(png)[b"IDAT"], head


def _chunks(png: bytes) -> dict[bytes, bytes]:
    """Join a PNG's chunks by their kind."""
    chunks: dict[bytes, bytes] = {}
    start = 8
    while start + 8 <= len(png):
        length, kind = struct.unpack(">I4s", png[start : start + 8])
        chunks[kind] = chunks.get(kind, b"") + png[start + 8 : start + 8 + length]
        start += 12 + length
    return chunks
