"""Page images as PDF holds them: JPEG and its like as they are, everything else without loss.

img2pdf 0.6.3 was tried in its place: it decodes JPEG of TIFFs (2.6 MB became 5.9), and shows transparency as such.
"""

import io
from dataclasses import dataclass

import pikepdf
from pikepdf import Dictionary, Matrix, Name
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile
from quintet.pixels.images import load_image, opened

from quintet_client.exports.pdf.samples import Samples, fax, flate, samples_of
from quintet_client.exports.pdf.tiff import size_of

# Below 100 dpi a file says 72 or 96 because its writer did not know; nothing reads a page printed at more than 2400.
_PLAUSIBLE_DPI = (100.0, 2400.0)
_UNKNOWN_LONG_SIDE_PT = 297 / 25.4 * 72  # A4
_POINTS_PER_INCH = 72.0
# What PDF/A-2 allows (6.1.13).
_LEAST_SIDE_PT, _MOST_SIDE_PT = 3.0, 14_400.0
_ORIENTATION = 0x0112  # EXIF
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
_HIGHER_THAN_A_STRIP = 1 << 30  # bytes


@dataclass(frozen=True, slots=True)
class PageImage:
    """An image ready to be painted; sizes as a viewer shows it."""

    size_px: tuple[int, int]
    size_pt: tuple[float, float]
    paint: Matrix  # from the unit square to the page, in points
    samples: Samples

    @property
    def to_points(self) -> Matrix:
        """From the image as it is shown, in pixels, to its page."""
        (width_px, height_px), (width_pt, height_pt) = self.size_px, self.size_pt
        return Matrix(width_pt / width_px, 0, 0, -height_pt / height_px, 0, height_pt)

    def add_to(self, pdf: pikepdf.Pdf) -> pikepdf.Object:
        """Write the image into a PDF."""
        head = {"/Type": Name.XObject, "/Subtype": Name.Image, **self.samples.head}
        return pdf.make_stream(self.samples.data, Dictionary(head))


def page_image(body: bytes, number: int) -> PageImage:
    """Prepare one image of a file, counted from 1.

    Raises:
        EOFError: it has no such image.
        OSError, PageError: it is no image, or cannot be decoded.
    """
    with opened(body) as image:
        image.seek(number - 1)
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1), _TURNS[1])
        size_px, dpi = size_of(image), image.info.get("dpi", (0, 0))
        if turn.a == 0:
            size_px, dpi = size_px[::-1], dpi[::-1]
        samples = samples_of(image, body)
        if samples is None:
            turn, upright = _TURNS[1], _upright(image)
            size_px, samples = upright.size, _without_loss(upright)
        size_pt = _size_pt(size_px, *map(float, dpi[:2]))
        return PageImage(size_px, size_pt, turn @ Matrix().scaled(*size_pt), samples)


def _size_pt(size_px: tuple[int, int], x_dpi: float, y_dpi: float) -> tuple[float, float]:
    """Return the page's size: by the file's resolution if it knows one, or else as long as A4 is."""
    low, high = _PLAUSIBLE_DPI
    if not (low <= x_dpi <= high and low <= y_dpi <= high):
        x_dpi = y_dpi = max(size_px) * _POINTS_PER_INCH / _UNKNOWN_LONG_SIDE_PT
    sides = (size_px[0] / x_dpi * _POINTS_PER_INCH, size_px[1] / y_dpi * _POINTS_PER_INCH)
    fit = min(max(1.0, _LEAST_SIDE_PT / min(sides)), _MOST_SIDE_PT / max(sides))
    return sides[0] * fit, sides[1] * fit


def _upright(image: Image.Image) -> Image.Image:
    """Decode an image as a viewer shows it: black and white and grey stay that, everything else becomes RGB."""
    mode = image.mode if "transparency" not in image.info else ""
    shown = load_image(image)
    if mode == "1":
        return shown.convert("1", dither=Image.Dither.NONE)
    return shown.getchannel(0) if mode == "L" or mode.startswith("I") else shown


def _without_loss(image: Image.Image) -> Samples:
    """Encode an image of mode 1, L or RGB; one of black and white as what is smaller."""
    target = io.BytesIO()
    image.save(target, "PNG")
    samples = flate(target.getvalue())
    if image.mode != "1":
        return samples
    target = io.BytesIO()
    image.save(target, "TIFF", compression="group4", strip_size=_HIGHER_THAN_A_STRIP)
    with Image.open(target) as written:
        coded = fax(written, target.getvalue()) if isinstance(written, TiffImageFile) else None
    return min(samples, coded or samples, key=lambda made: len(made.data))
