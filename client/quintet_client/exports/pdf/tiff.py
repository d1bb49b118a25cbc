"""What a TIFF holds of JPEG and of CCITT's Group 4, as PDF wants it: one stream an image.

A TIFF may cut a JPEG into strips, each a JPEG of its own, with tables that stand elsewhere (Adobe's TIFF technical note
2). No strip's coding depends on the one before: they become one JPEG with a restart marker between each two, as in
libtiff's tiff2pdf. Nothing is decoded and coded again.
"""

import io
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageOps, ImageStat
from PIL.TiffImagePlugin import TiffImageFile

_WIDTH, _HEIGHT = 256, 257
_COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _ORIENTATION, _PLANES = 259, 262, 266, 274, 284
_STRIP_STARTS, _STRIP_ROWS, _STRIP_SIZES, _TILE_STARTS, _TILE_SIZES = 273, 278, 279, 324, 325
_FAX_OPTIONS, _JPEG_TABLES = 293, 347
_GROUP_4, _JPEG = 4, 7
_RGB = 2  # photometric interpretation
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

_BEGIN, _END, _RESTART = b"\xff\xd8", b"\xff\xd9", 0xD0
_SEQUENTIAL = {0xC0, 0xC1}  # frames of one scan
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SOS, _DRI = 0xDA, 0xDD
_MOST_IN_INTERVAL = 0xFFFF
# Components are what they are called, and no YCbCr: by Adobe's marker, which all decoders heed.
_NOT_TRANSFORMED = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"
# Colours that are stored at half size are smoothed across the edges of strips once these are gone: 0.1 levels of 255.
_MOST_DIFFERENCE = 1.0

_Segments = list[tuple[int, bytes]]  # marker and content


def size_of(image: Image.Image) -> tuple[int, int]:
    """Width and height of an image as encoded: Pillow turns those of a TIFF that says so before it is decoded."""
    if isinstance(image, TiffImageFile):
        return image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT]
    return image.size


def fax_of(image: TiffImageFile, body: bytes) -> tuple[bytes, bool] | None:
    """Return an image in Group 4, and whether its zeros are white; None if it is none, or in several strips."""
    tags, strips = image.tag_v2, _strips(image, body)
    if tags.get(_COMPRESSION) != _GROUP_4 or tags.get(_FAX_OPTIONS, 0) or len(strips) != 1:
        return None
    data = strips[0].translate(_REVERSED_BITS) if tags.get(_FILL_ORDER, 1) == 2 else strips[0]
    return data, tags.get(_PHOTOMETRIC, 0) == 0


def jpeg_of(image: TiffImageFile, body: bytes) -> bytes | None:
    """Return an image in JPEG as one such file; None if it is no such image, or that shows another one."""
    tags, strips = image.tag_v2, _strips(image, body)
    if tags.get(_COMPRESSION) != _JPEG or not strips:
        return None
    try:
        tables = tags.get(_JPEG_TABLES, b"").removeprefix(_BEGIN).removesuffix(_END)
        whole = strips[0] if len(strips) == 1 else _joined(strips, tags[_STRIP_ROWS], tags[_HEIGHT])
        adobe = _NOT_TRANSFORMED if tags.get(_PHOTOMETRIC) == _RGB else b""
        jpeg = b"".join([_BEGIN, adobe, tables, whole.removeprefix(_BEGIN)])
        return jpeg if _shows(jpeg, image, tags.get(_ORIENTATION, 1)) else None
    except (ValueError, LookupError, OSError):  # of what is damaged, or of another kind: it is decoded, or fails there
        return None


def _strips(image: TiffImageFile, body: bytes) -> list[bytes]:
    """The strips of an image, or its one tile; none if they are not all there, or a colour each."""
    tags = image.tag_v2
    starts = tags.get(_STRIP_STARTS, tags.get(_TILE_STARTS, ()))
    sizes = tags.get(_STRIP_SIZES, tags.get(_TILE_SIZES, ()))
    tiles = len(starts) if _TILE_STARTS in tags else 1
    places = list(zip(starts, sizes, strict=False))
    if tiles > 1 or tags.get(_PLANES, 1) != 1 or any(start + size > len(body) for start, size in places):
        return []
    return [body[start : start + size] for start, size in places]


def _joined(strips: Sequence[bytes], strip_rows: int, height_px: int) -> bytes:
    """Make one JPEG of strips; raises ValueError or LookupError if they are not of one kind."""
    parsed = [_parsed(strip) for strip in strips]
    head = parsed[0][0]
    frames = [(marker, content) for marker, content in head if marker in _FRAMES]
    if any(_without_height(segments) != _without_height(head) for segments, _scan in parsed):
        raise ValueError("strips differ in their tables")
    ((kind, frame),) = frames
    if kind not in _SEQUENTIAL or _DRI in dict(head):
        raise ValueError("strips have scans or restarts of their own")
    interval = _interval(frame, strip_rows)
    made = [_BEGIN]
    for marker, content in head:
        if marker == _SOS:
            made.append(_segment(_DRI, interval.to_bytes(2)))
        made.append(_segment(marker, _with_height(content, height_px) if marker == kind else content))
    for number, (_segments, scan) in enumerate(parsed):
        if number:
            made.append(bytes([0xFF, _RESTART + (number - 1) % 8]))
        made.append(scan)
    return b"".join([*made, _END])


def _interval(frame: bytes, strip_rows: int) -> int:
    """How many units a strip's coding has: the blocks of 8 x 8 of one colour, or as many as all have together."""
    width = int.from_bytes(frame[3:5])
    factors = [divmod(factor, 16) for factor in frame[7::3]] if frame[5] > 1 else [(1, 1)]
    across, down = (8 * max(sides) for sides in zip(*factors, strict=True))
    units: int = -(-width // across) * (strip_rows // down)
    if strip_rows % down or units > _MOST_IN_INTERVAL:
        raise ValueError("a strip ends within a row of units, or is too large")
    return units


def _parsed(jpeg: bytes) -> tuple[_Segments, bytes]:
    """Cut a JPEG into the segments up to its scan, and the data of that."""
    segments: _Segments = []
    place = len(_BEGIN)
    while not segments or segments[-1][0] != _SOS:
        if jpeg[place] != 0xFF:
            raise ValueError("a JPEG has something between its segments")
        marker, length = jpeg[place + 1], int.from_bytes(jpeg[place + 2 : place + 4])
        segments.append((marker, jpeg[place + 4 : place + 2 + length]))
        place += 2 + length
    return segments, jpeg[place : jpeg.index(_END, place)]


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (2 + len(content)).to_bytes(2) + content


def _with_height(frame: bytes, height_px: int) -> bytes:
    return frame[:1] + height_px.to_bytes(2) + frame[3:]


def _without_height(segments: _Segments) -> _Segments:
    """Segments, but for what differs in a last strip that is lower."""
    return [(marker, _with_height(content, 0) if marker in _FRAMES else content) for marker, content in segments]


def _shows(jpeg: bytes, image: TiffImageFile, orientation: int) -> bool:
    """Whether a JPEG is the image as Pillow decodes it; a PDF shows no other one. Turns the image as its tag says."""
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as other:
        if other.size != size_of(image):
            return False
        other.getexif()[_ORIENTATION] = orientation
        shown = ImageOps.exif_transpose(other)
    image.load()
    if (shown.mode, shown.size) != (image.mode, image.size):
        return False
    return max(ImageStat.Stat(ImageChops.difference(shown, image)).mean) <= _MOST_DIFFERENCE
