"""Pages of a TIFF as the service would read each of them alone."""

import struct
from typing import BinaryIO

from PIL import Image, TiffImagePlugin

from quintet.errors import Code, PageError
from quintet.pixels.images import ImageLimits, check_size, load_image

_BIG_TIFF = 43
_NEW_SUBFILE_TYPE = 254
# Bit 0: a smaller version of another image, bit 2: a mask (TIFF 6.0, section 8).
_NO_PAGE = 1 | 4
_NOWHERE = -1


class TiffPages:
    """One TIFF, open."""

    has_dpi = False

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

    def dpi_within(self, _number: int, dpi: float, _limits: ImageLimits) -> float:
        """Its pages have their own resolution."""
        return dpi

    def size_px(self, number: int, _dpi: float) -> tuple[int, int]:
        """As encoded: a tag may turn it; raises PageError as `image`."""
        return self._found(number).size

    def image(self, number: int, _dpi: float, limits: ImageLimits) -> Image.Image:
        """Decode one page, at its own resolution.

        Raises:
            PageError: it is damaged, or too large or small.
        """
        image = self._found(number)
        check_size(image.size, limits)
        return load_image(image)

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

    def _found(self, number: int) -> Image.Image:
        """A page whose pixels are not decoded yet."""
        if self._image is None or self._image.tell() == number - 1:
            self._image = self._opened()  # Pillow turns an image in place as it loads it: it is to be turned once
        try:
            self._image.seek(number - 1)
        except Exception as error:  # Pillow's codecs raise many types on damaged input; each is this page's own failure
            message = f"image {number} of the TIFF is missing or damaged"
            raise PageError(Code.IMAGE_DECODE_FAILED, message) from error
        return self._image

    def _opened(self) -> Image.Image:
        self._file.seek(0)
        try:
            return Image.open(self._file, formats=("TIFF",))
        except Exception as error:  # as above
            raise PageError(Code.DOCUMENT_DAMAGED, "the file is no TIFF, or a damaged one") from error
