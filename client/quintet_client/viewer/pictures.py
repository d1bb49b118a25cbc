"""Images for the screen: thumbnails the right way up, and full images that a browser can show. Needs Pillow alone."""

import io
from typing import TYPE_CHECKING

from quintet_client.viewer.originals import NoPictureError

if TYPE_CHECKING:
    from PIL import Image

# What the service refuses to read is not worth a gigabyte of memory to look at either.
MAX_PIXELS = 100_000_000
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF")
_AS_IT_IS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "BMP": "image/bmp", "GIF": "image/gif"}
_EXIF_ORIENTATION = 0x0112
PILLOW_MISSING = "images need Pillow, which is not installed: pip install 'quintet[view]'"


def pillow_is_there() -> bool:
    """Whether images can be decoded here."""
    try:
        import PIL  # noqa: F401, PLC0415 - asked for, not used
    except ModuleNotFoundError:
        return False
    return True


def check(body: bytes) -> None:
    """Look at an image's header alone.

    Raises:
        NoPictureError: it is nothing that can be shown.
    """
    _opened(body)


def thumbnail(body: bytes, angle_deg: int, side_px: int, quality: int = 75) -> bytes:
    """Draw a small JPEG of a page the way a person reads it.

    Args:
        body: the encoded image.
        angle_deg: how far the content is turned clockwise: 0, 90, 180 or 270.
        side_px: its longer side.
        quality: JPEG quality.

    Raises:
        NoPictureError: it cannot be decoded.
    """
    image = _opened(body)
    try:
        image.draft("RGB", (2 * side_px, 2 * side_px))  # a JPEG is decoded at an eighth of its size where that will do
        return _encoded(_upright(image, angle_deg, side_px), "JPEG", quality=quality)
    except Exception as error:  # Pillow's codecs raise many types on damaged input; each is this page's own failure.
        raise NoPictureError("the image is damaged or truncated") from error


def for_browser(body: bytes) -> tuple[str, bytes]:
    """Return an image as every browser shows it: as it is where that will do, else as PNG.

    Args:
        body: the encoded image.

    Returns:
        Content type and bytes.

    Raises:
        NoPictureError: it cannot be decoded.
    """
    image = _opened(body)
    form = image.format or ""
    try:
        # All browsers apply a JPEG's EXIF orientation; of the other formats some do, so that is done here.
        if form in _AS_IT_IS and (form == "JPEG" or image.getexif().get(_EXIF_ORIENTATION, 1) == 1):
            return _AS_IT_IS[form], body
        return "image/png", _encoded(_as_shown(image), "PNG", compress_level=1)
    except Exception as error:  # as above
        raise NoPictureError("the image is damaged or truncated") from error


def _opened(body: bytes) -> "Image.Image":
    try:
        from PIL import Image  # noqa: PLC0415 - the client alone is installed without it
    except ModuleNotFoundError as error:
        raise NoPictureError(PILLOW_MISSING) from error
    try:
        image = Image.open(io.BytesIO(body), formats=FORMATS)
    except Exception as error:  # as above, and Pillow's refusal of what would unpack to too many pixels
        raise NoPictureError("the file is no image, or a damaged one") from error
    if image.width * image.height > MAX_PIXELS:
        raise NoPictureError(f"the image has {image.width} x {image.height} pixels; at most {MAX_PIXELS} are shown")
    return image


def _upright(image: "Image.Image", angle_deg: int, side_px: int) -> "Image.Image":
    from PIL import Image  # noqa: PLC0415

    back = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
    image.thumbnail((side_px, side_px), reducing_gap=2.0)
    shown = _as_shown(image)
    return shown.transpose(back[angle_deg]) if angle_deg in back else shown


def _as_shown(image: "Image.Image") -> "Image.Image":
    """RGB, EXIF orientation applied, transparency on white, 16-bit grey by its high byte: as the service reads it."""
    from PIL import Image, ImageOps  # noqa: PLC0415

    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I"):
        return turned.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if turned.has_transparency_data:
        rgba = turned.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return turned.convert("RGB")


def _encoded(image: "Image.Image", form: str, **options: int) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()
