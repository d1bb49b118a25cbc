"""Pages of a TIFF as the service would read each of them alone. In the child alone."""

from typing import BinaryIO

import quintet.errors
from PIL import Image
from quintet.errors import Code
from quintet.pages.pixels.images import check_size, load_image
from quintet.pages.settings import Settings

from quintet_client.errors import PageError
from quintet_client.input.documents.codes import DocumentCode
from quintet_client.input.documents.encoding import encoded
from quintet_client.input.documents.messages import MOST_BODY_BYTES

_LIMITS = Settings()


class TiffPages:
    """One TIFF, open."""

    def __init__(self, file: BinaryIO) -> None:
        """Open it.

        Raises:
            PageError: it is damaged.
        """
        self._file = file
        self._reopen()

    def __len__(self) -> int:
        return getattr(self._image, "n_frames", 1)

    def close(self) -> None:
        """Let go of it, and of its file."""
        self._image.close()
        self._file.close()

    def render(self, number: int, _dpi: int) -> tuple[bytes, str]:
        """Decode one page, at its own resolution.

        Args:
            number: which of its images, from 1.

        Returns:
            The encoded image; there is nothing to be said about it.

        Raises:
            PageError: it is damaged, or too large or small.
        """
        if self._image.tell() == number - 1:
            self._reopen()  # Pillow turns an image in place as it loads it: it is to be turned once
        try:
            self._image.seek(number - 1)
        except Exception as error:  # Pillow's codecs raise many types on damaged input; each is this page's own failure
            message = f"image {number} of the TIFF is missing or damaged ({type(error).__name__})"
            raise PageError(Code.IMAGE_DECODE_FAILED, message) from error
        return self._decoded(), ""

    def _reopen(self) -> None:
        self._file.seek(0)
        try:
            self._image = Image.open(self._file, formats=("TIFF",))
        except Exception as error:  # as above
            raise PageError(DocumentCode.DOCUMENT_DAMAGED, "the file is no TIFF, or a damaged one") from error

    def _decoded(self) -> bytes:
        try:
            check_size(self._image.size, _LIMITS)
            bilevel = self._image.mode == "1"
            body = encoded(load_image(self._image), bilevel=bilevel)
        except quintet.errors.PageError as error:
            raise PageError(error.failure.code, error.failure.message) from error
        if len(body) > MOST_BODY_BYTES:
            raise PageError(Code.IMAGE_TOO_LARGE, f"the page has {len(body)} bytes; at most {MOST_BODY_BYTES} are sent")
        return body
