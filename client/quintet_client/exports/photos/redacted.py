"""`redacted`: the photo as it may be published, upright, in its own format, with faces and text hidden.

Of a face 4 x 4 mean colours are left, 48 bytes, drawn smoothly: they tell hair from skin. Of a text its one mean colour
is left. A blur looks alike, but keeps what is below it and can be reversed; a finer mosaic gives back faces (McPherson,
Shokri and Shmatikov, "Defeating Image Obfuscation with Deep Learning", 2016) and text (Hill, Zhou, Saul and Shacham,
"On the (In)effectiveness of Mosaicing and Blurring as Tools for Document Redaction", 2016).

The file is written from pixels alone: no EXIF with its thumbnail and place, no comment, no colour profile, nothing
that was transparent.
"""

import io
import math
from collections.abc import Iterable
from typing import Any

from PIL import Image, ImageDraw, ImageStat
from quintet.errors import PageError
from quintet.pixels.images import load_image, open_image

from quintet_client.api.results import BoxPx, PointPx
from quintet_client.exports.documents import Document, ExportError, original_body
from quintet_client.exports.photos.photo import Photo, photo_of
from quintet_client.service.documents import parsed
from quintet_client.service.page import Limits

# A detector's box ends at chin and forehead; hair and ears, which make a face known, lie a quarter of it beyond.
_FACE_MARGIN = 0.25
# Of the lower of a text's two sides: accents, descenders and what a tight box cuts off.
_TEXT_MARGIN = 0.25
_LEAST_MARGIN_PX = 2
_CELLS = 4
_LEAST_CELL_PX = 6
_SAVED: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "WEBP": {"quality": 95},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "BMP": {},
    "GIF": {},
    "JPEG2000": {},
    "AVIF": {"quality": 90},
}

_BoxInPx = tuple[int, int, int, int]


def render(document: Document) -> bytes:
    """Redact one photo; raises ExportError if its file is missing, no photo, or not what was read."""
    if document.has_pages_of_its_own:
        raise ExportError("it is a document of several pages; give photos as images")
    photo = photo_of(parsed(document.pages[0].answer))
    shown, form = _decoded(original_body(document), photo)
    if form not in _SAVED:
        raise ExportError(f"{form} cannot be written; read the photo in another format")
    redacted = Image.new("RGB", shown.size)  # and none of the metadata that Pillow carries along
    redacted.paste(shown)
    hide(redacted, photo)
    target = io.BytesIO()
    redacted.save(target, form, **_SAVED[form])
    return target.getvalue()


def _decoded(body: bytes, photo: Photo) -> tuple[Image.Image, str]:
    """The photo as a viewer shows it, and its format; it may be as large as the service has read it, and no larger."""
    pixels = max(1, photo.width_px * photo.height_px)
    try:
        opened = open_image(body, Limits(max_body_bytes=len(body), max_page_pixels=pixels, min_page_side_px=1)).image
        shown = load_image(opened)
    except PageError as error:
        raise ExportError(f"its file cannot be decoded ({error}); read it again") from error
    if shown.size != (photo.width_px, photo.height_px):
        raise ExportError(
            f"the image has {shown.width} x {shown.height} pixels, its result says "
            f"{photo.width_px} x {photo.height_px}: it is another one now; read it again"
        )
    return shown, "JPEG" if opened.format == "MPO" else opened.format or ""


def hide(image: Image.Image, photo: Photo) -> None:
    """Hide faces and texts, in place; what lies outside the image is left out."""
    for face in photo.faces:
        _hide_face(image, face.box_px)
    for quad_px in photo.texts:
        _hide_text(image, quad_px)


def _hide_face(image: Image.Image, box_px: BoxPx) -> None:
    x0, y0, x1, y1 = box_px
    box = _within(image, box_px, _margin_px(_FACE_MARGIN, x1 - x0), _margin_px(_FACE_MARGIN, y1 - y0))
    if box is None:
        return
    size = (box[2] - box[0], box[3] - box[1])
    columns, rows = (max(1, min(_CELLS, side // _LEAST_CELL_PX)) for side in size)
    means = image.crop(box).resize((columns, rows), Image.Resampling.BOX)
    image.paste(means.resize(size, Image.Resampling.BICUBIC), box)


def _hide_text(image: Image.Image, quad_px: tuple[PointPx, ...]) -> None:
    sides = (math.dist(quad_px[corner - 1], quad_px[corner]) for corner in range(4))
    margin = _margin_px(_TEXT_MARGIN, min(sides))
    xs, ys = zip(*quad_px, strict=True)
    box = _within(image, (min(xs), min(ys), max(xs), max(ys)), margin, margin)
    if box is None:
        return
    mask = _grown(((x - box[0], y - box[1]) for x, y in quad_px), margin, (box[2] - box[0], box[3] - box[1]))
    if mask.getbbox() is not None:
        colour = tuple(map(round, ImageStat.Stat(image.crop(box), mask).mean))
        image.paste(colour, box, mask)


def _grown(points: Iterable[PointPx], margin: int, size: tuple[int, int]) -> Image.Image:
    """A mask of a polygon and everything within so many pixels around it."""
    corners = list(points)
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    pen.polygon(corners, fill=255)
    pen.line([*corners, *corners[:2]], fill=255, width=2 * margin, joint="curve")
    return mask


def _margin_px(share: float, side_px: float) -> int:
    return max(_LEAST_MARGIN_PX, math.ceil(share * side_px))


def _within(image: Image.Image, box_px: BoxPx, across: int, down: int) -> _BoxInPx | None:
    """A box grown by margins, as far as it lies within the image; None if it does not."""
    x0, y0 = max(0, math.floor(box_px[0]) - across), max(0, math.floor(box_px[1]) - down)
    x1, y1 = min(image.width, math.ceil(box_px[2]) + across), min(image.height, math.ceil(box_px[3]) + down)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
