"""What the networks see of pages and lines, made one image at a time."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
_UNDO = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}
LINE_HEIGHT_PX = 48


def bgr(rgbx: Image) -> Image:
    """A page as OpenCV wants it: (H, W, 4) to (H, W, 3)."""
    return np.ascontiguousarray(rgbx[:, :, 2::-1])


def upright(image: Image, quarter_turns: int) -> Image:
    """The page turned back."""
    return cv2.rotate(image, _UNDO[quarter_turns]).astype(np.uint8, copy=False) if quarter_turns else image


def centre_crop(image: Image, short_side_px: int = 256, crop_px: int = 224) -> Floats:
    """What page orientation sees: (3, 224, 224)."""
    height, width = image.shape[:2]
    scale = short_side_px / min(height, width)
    resized = cv2.resize(image, (round(width * scale), round(height * scale)))
    top, left = (resized.shape[0] - crop_px) // 2, (resized.shape[1] - crop_px) // 2
    return _imagenet(resized[top : top + crop_px, left : left + crop_px])


def stretched(image: Image, size_px: tuple[int, int]) -> Floats:
    """What layout sees: (3, H, W)."""
    return _imagenet(cv2.resize(image, size_px))


def canvas(image: Image, size_px: tuple[int, int]) -> Floats:
    """What text detection sees: (3, H, W)."""
    return _half(cv2.resize(image, size_px))


def line(crop: Image, width_px: int, canvas_px: int) -> Floats:
    """What the line networks see of one crop: (3, 48, canvas), zero right of the crop's width."""
    padded = np.zeros((3, LINE_HEIGHT_PX, canvas_px), np.float32)
    padded[:, :, :width_px] = _half(cv2.resize(crop, (width_px, LINE_HEIGHT_PX)))
    return padded


def line_width(crop: Image, max_width_px: int) -> int:
    """The crop's width at the common height."""
    width = math.ceil(LINE_HEIGHT_PX * int(crop.shape[1]) / int(crop.shape[0]))
    return max(1, min(max_width_px, width))


def _imagenet(image: NDArray[np.generic]) -> Floats:
    values: Floats = image.astype(np.float32)
    return np.asarray((values / 255 - _MEAN) / _STD, np.float32).transpose(2, 0, 1)


def _half(image: NDArray[np.generic]) -> Floats:
    return (image.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)
