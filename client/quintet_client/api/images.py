"""What callers have for an image, as the bytes to send: bytes, a file, a picture of Pillow or an array of NumPy."""

import errno
import io
import os
from typing import TYPE_CHECKING, TypeAlias, cast

from quintet_client.errors import PageError, UsageError
from quintet_client.input.regular_files import MAX_FILE_BYTES, read_regular, why_not

if TYPE_CHECKING:  # neither need be installed
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

File: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str]
Image: TypeAlias = "File | Picture | NDArray[np.uint8]"

_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}


def load(image: Image) -> bytes:
    """The bytes of an image; pictures become PNG, of the pixels that they have.

    Args:
        image: encoded, the path of a file, a picture of Pillow, or an array (H, W, 3) uint8 in RGB.

    Raises:
        PageError: its file cannot be sent (UNREADABLE_FILE, IMAGE_TOO_LARGE), or an array is of another form
            (UNSUPPORTED_FORMAT).
        UsageError: it is a picture or an array, and Pillow is not installed.
    """
    if hasattr(image, "__array_interface__"):  # which both have
        return _png(cast("Picture | NDArray[np.uint8]", image))
    return load_file(image)


def load_file(file: File) -> bytes:
    """The bytes of a file, or those themselves; raises PageError as `load` does."""
    if isinstance(file, bytes | bytearray | memoryview):
        return bytes(file)
    try:
        return read_regular(os.fspath(file), MAX_FILE_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        code = "IMAGE_TOO_LARGE" if getattr(error, "errno", None) == errno.EFBIG else "UNREADABLE_FILE"
        raise PageError(code, f"{os.fspath(file)}: {why_not(error)}") from error


def _png(image: "Picture | NDArray[np.uint8]") -> bytes:
    try:
        from PIL import Image as pillow  # noqa: N813, PLC0415 - a module, which need not be installed
    except ModuleNotFoundError as error:
        raise UsageError("arrays are encoded with Pillow, which is not installed: pip install pillow") from error
    picture = image if isinstance(image, pillow.Image) else pillow.fromarray(_checked(image))
    target = io.BytesIO()
    lossless = picture if picture.mode in _PNG_MODES else picture.convert("RGB")
    lossless.save(target, "PNG", compress_level=1, exif=b"")  # which says what was to be turned, and has been seen
    return target.getvalue()


def _checked(array: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    shape = array.shape
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or array.dtype != "uint8":
        found = f"an array of {' x '.join(map(str, shape))} and {array.dtype}"
        raise PageError("UNSUPPORTED_FORMAT", f"{found}; give height x width x 3 of uint8, in RGB")
    return array
