"""What the markers of a JPEG say before anything is decoded (ITU T.81, annex B). Needs Pillow alone."""

import re
import struct

from PIL import ExifTags, Image, JpegImagePlugin

_BASELINE = 0xFFC0
# What may stand before the frame: tables of codes and of quantisation, restart intervals, comments, application data.
_BEFORE_FRAME = {0xFFC4, 0xFFDB, 0xFFDD, 0xFFFE, *range(0xFFE0, 0xFFF0)}
_END = b"\xff\xd9"
_SCAN_MARKER, _SCAN, _END_OF_IMAGE = b"\xff\xda", 0xDA, 0xD9
# Within the data of a scan, anything but a stuffed byte, a restart or filling is the next segment.
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
# How a frame begins whose entropy coding is arithmetic: sequential and progressive.
_ARITHMETIC = (b"\xff\xc9", b"\xff\xca")
# Luma blocks per chroma block, across and down: what nvJPEG has a name for.
_SUBSAMPLINGS = frozenset({(1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (4, 2)})


def count_scans(body: bytes, most: int) -> int:
    """Scans of the first image in a body, exact where there seem to be more than `most`; counting ends above it.

    What stands inside segments (thumbnails) and behind the image (films, other pictures) is no scan of it.
    """
    if (scans := body.count(_SCAN_MARKER)) <= most:  # not fewer than there are, and 30 times as fast
        return scans
    scans, place = 0, 2
    while scans <= most and (found := _MARKER.search(body, place)) and found[1][0] != _END_OF_IMAGE:
        scans += found[1][0] == _SCAN
        place = found.end() + int.from_bytes(body[found.end() : found.end() + 2], "big")
    return scans


def can_hold(body: bytes, size_px: tuple[int, int]) -> bool:
    """Whether a JPEG is long enough for its pixels: libjpeg fills what is missing with grey, and says nothing.

    Huffman coding takes at least one bit for each block of 8 x 8 pixels (F.1.2); arithmetic coding may take less, but
    no camera or scanner writes it.
    """
    width, height = size_px
    blocks = -(-width // 8) * -(-height // 8)
    return 8 * len(body) >= blocks or any(marker in body for marker in _ARITHMETIC)


def is_plain(body: bytes, image: Image.Image) -> bool:
    """Whether a page is a JPEG that every decoder takes alike, so that the device may have it.

    Whole (it ends with its end marker), baseline, grey or YCbCr in a usual subsampling, not turned by EXIF. Everything
    else is the host's, with its errors; so are progressive ones, which nvJPEG decodes one by one, each with a wait.
    """
    if image.format != "JPEG" or not isinstance(image, JpegImagePlugin.JpegImageFile):
        return False
    if body[-2:] != _END or not _is_baseline(body):
        return False
    try:
        upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
    except Exception:  # noqa: BLE001 - whatever a damaged block raises, the host says what is wrong with the page
        return False
    return upright and _has_plain_colours(image)


def _has_plain_colours(image: JpegImagePlugin.JpegImageFile) -> bool:
    """Whether it is grey, or YCbCr without doubt: decoders weigh differently what tells RGB from it."""
    numbers, blocks = [layer[0] for layer in image.layer], [tuple(layer[1:3]) for layer in image.layer]
    if len(numbers) == 1:
        return blocks == [(1, 1)]
    known = numbers == [1, 2, 3] and image.info.get("adobe_transform", 1) == 1
    return known and blocks[0] in _SUBSAMPLINGS and blocks[1:] == [(1, 1), (1, 1)]


def _is_baseline(body: bytes) -> bool:
    """Whether the first frame is, and nothing unusual stands before it."""
    place = 2
    while place + 4 <= len(body):
        marker, length = struct.unpack_from(">HH", body, place)
        if marker not in _BEFORE_FRAME:
            return bool(marker == _BASELINE)
        place += 2 + length
    return False
