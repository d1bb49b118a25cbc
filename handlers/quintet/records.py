"""The records that pass between stages, and the one legend of their shapes.

Legend
    P  pages in a batch          R  layout regions of all pages
    L  lines of all pages        N  items of any kind (pages, lines, runs)
    S  elements laid end to end  T  time steps of the recogniser
    H, W  height and width in pixels

Points are (x, y) in float32 pixels; a pixel's centre lies at integer + 0.5. Quads run clockwise from the text's own
top-left corner: (N, 4, 2). Homographies are (N, 3, 3) and map column vectors (x, y, 1). Empty is a valid value.

Frames
    image    the page as a viewer shows it (EXIF applied)
    upright  the image after its page orientation is undone
    canvas   what one network sees of a page
    crop     what one network sees of a line
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Raster:
    """Rasters of different sizes laid end to end, row by row, in one flat tensor.

    One flat tensor and four small ones hold a whole batch, so that every step can treat all pages at once.

    Attributes:
        values: (S,) or (S, channels); item n's pixel (x, y) is ``values[offsets[n] + y * widths[n] + x]``.
        offsets: (N,) int64, where each item begins.
        heights: (N,) int64, pixels.
        widths: (N,) int64, pixels.
    """

    values: Tensor
    offsets: Tensor
    heights: Tensor
    widths: Tensor
