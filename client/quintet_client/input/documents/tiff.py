"""Pages of a TIFF as the service would read each of them alone. In the child alone."""

import struct
from typing import BinaryIO

import quintet.errors
from PIL import Image, TiffImagePlugin
from quintet.errors import Code
from quintet.pixels.images import check_size, load_image

from quintet_client.errors import PageError
from quintet_client.input.documents.codes import DocumentCode
from quintet_client.input.documents.encoding import encoded
from quintet_client.service.page import Limits

_BIG_TIFF = 43
_NEW_SUBFILE_TYPE = 254
# Bit 0: a smaller version of another image, bit 2: a mask (TIFF 6.0, section 8).
_NO_PAGE = 1 | 4
_NOWHERE = -1


class TiffPages:
    """One TIFF, open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._image: Image.Image | None = None

    def numbers(self, most: int) -> tuple[int, ...]:
        """Tell which images are pages and no thumbnails or masks, from the directories alone.

        A chain of directories that is broken has one page more at its end, which fails when it is read: what is
        missing is not passed over. No numbers at all if the very first directory is damaged.
        """
        self._file.seek(0)
        head = self._file.read(16)
        try:
            directory = TiffImagePlugin.ImageFileDirectory_v2(head if head[2] == _BIG_TIFF else head[:8])
        except struct.error:  # there is no more than a beginning
            return ()
        pages, seen = list[int](), set[int]()
        while (at := directory.next) and at not in seen and len(pages) < most:
            seen.add(at)
            if not self._load(directory):
                return (*pages, len(seen)) if len(seen) > 1 else ()
            kind: object = directory.get(_NEW_SUBFILE_TYPE, 0)
            if not (isinstance(kind, int) and kind & _NO_PAGE):
                pages.append(len(seen))
        return tuple(pages)

    def render(self, number: int, _dpi: int, limits: Limits) -> tuple[bytes, str]:
        """Decode one page, at its own resolution; there is nothing to be said about it.

        Raises:
            PageError: it is damaged, or too large or small.
        """
        if self._image is None or self._image.tell() == number - 1:
            self._image = self._opened()  # Pillow turns an image in place as it loads it: it is to be turned once
        try:
            self._image.seek(number - 1)
        except Exception as error:  # Pillow's codecs raise many types on damaged input; each is this page's own failure
            message = f"image {number} of the TIFF is missing or damaged ({type(error).__name__})"
            raise PageError(Code.IMAGE_DECODE_FAILED, message) from error
        try:
            check_size(self._image.size, limits)
            bilevel = self._image.mode == "1"
            body = encoded(load_image(self._image), bilevel=bilevel)
        except quintet.errors.PageError as error:
            raise PageError(error.failure.code, error.failure.message) from error
        if len(body) > (most := limits.largest_body_bytes):
            raise PageError(Code.IMAGE_TOO_LARGE, f"the page has {len(body)} bytes; at most {most} are sent")
        return body, ""

    def close(self) -> None:
        """Let go of it, and of its file."""
        if self._image is not None:
            self._image.close()
        self._file.close()

    def _load(self, directory: TiffImagePlugin.ImageFileDirectory_v2) -> bool:
        """Read the directory that `next` leads to; False if it is not whole, of which Pillow only warns."""
        at, directory.next = directory.next, _NOWHERE
        try:
            self._file.seek(at)
            directory.load(self._file)
        except (OSError, OverflowError):
            return False
        return bool(directory.next != _NOWHERE)

    def _opened(self) -> Image.Image:
        self._file.seek(0)
        try:
            return Image.open(self._file, formats=("TIFF",))
        except Exception as error:  # as above
            raise PageError(DocumentCode.DOCUMENT_DAMAGED, "the file is no TIFF, or a damaged one") from error
