"""Rendered pages as encoded images that the service takes. Needs Pillow alone."""

import io

from PIL import Image, ImageChops

# A sixth of PNG's time and half its bytes, and the same words (docs/performance.md); text keeps its colour at 4:4:4.
_JPEG_QUALITY = 95
_LONGEST_JPEG_SIDE_PX = 65_500


def encoded(image: Image.Image, *, bilevel: bool = False) -> bytes:
    """Encode a page; the same pixels give the same bytes.

    Args:
        image: RGB.
        bilevel: it is black and white alone, and stays so: as PNG of one bit a pixel.
    """
    target = io.BytesIO()
    if bilevel:
        image.convert("1", dither=Image.Dither.NONE).save(target, "PNG", compress_level=1)
    elif max(image.size) > _LONGEST_JPEG_SIDE_PX:
        _grey_if_it_is(image).save(target, "PNG", compress_level=1)
    else:
        _grey_if_it_is(image).save(target, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return target.getvalue()


def is_of_one_colour(image: Image.Image) -> bool:
    """Whether all pixels are the same."""
    return all(low == high for low, high in image.getextrema())  # type: ignore[misc] # pairs, of an RGB image


def _grey_if_it_is(image: Image.Image) -> Image.Image:
    """The one channel of a page without colours: a third of the work for everybody behind."""
    red, green, blue = image.split()
    coloured = ImageChops.difference(red, green).getbbox() or ImageChops.difference(green, blue).getbbox()
    return image if coloured else red
