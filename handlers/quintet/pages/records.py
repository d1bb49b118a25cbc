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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Raster:
    """Rasters of different sizes laid end to end, row by row, in one flat tensor.

    One flat tensor and four small ones hold a whole batch, so that every step can treat all pages at once.
    """

    values: Tensor  # (S,) or (S, channels); item n's pixel (x, y) is ``values[offsets[n] + y * widths[n] + x]``
    offsets: Tensor  # (N,) int64, where each item begins
    heights: Tensor  # (N,) int64, pixels
    widths: Tensor  # (N,) int64, pixels

    @classmethod
    def end_to_end(cls, values: Tensor, sizes_px: Tensor, to_device: Callable[[Tensor], Tensor]) -> Self:
        """Items in the order of their (N, 2) int64 widths and heights on the host."""
        counts = sizes_px.prod(dim=1)
        offsets, widths, heights = map(to_device, (counts.cumsum(0) - counts, sizes_px[:, 0], sizes_px[:, 1]))
        return cls(values, offsets, heights, widths)


@dataclass(frozen=True)
class Pages:
    """A batch of decoded pages in their image frames."""

    pixels: Raster  # values (S,) int32 on the device, R + 256 G + 65536 B, the highest byte without meaning
    sizes_px: Tensor  # (P, 2) int64 on the host: width, height


@dataclass(frozen=True)
class UprightPages:
    """Pages with their orientation undone. No pixel moves: what looks at them composes `to_image`."""

    pixels: Raster  # as in `Pages`, still in the image frame
    sizes_px: Tensor  # (P, 2) int64 on the host: width, height in the upright frame
    to_image: Tensor  # (P, 3, 3) float32, upright frame to image frame
    quarter_turns: Tensor  # (P,) int64, clockwise quarter turns of the content in the image
    scores: Tensor  # (P,) float32


@dataclass(frozen=True)
class Regions:
    """Layout regions of all pages."""

    boxes_px: Tensor  # (R, 4) float32, x0, y0, x1, y1 in the upright frame
    labels: Tensor  # (R,) int64, index into the layout model's classes
    scores: Tensor  # (R,) float32
    page: Tensor  # (R,) int64, ascending


@dataclass(frozen=True)
class Lines:
    """Detected lines of all pages."""

    quads_px: Tensor  # (L, 4, 2) float32 in the upright frame; the text runs along the first edge
    page: Tensor  # (L,) int64, ascending


@dataclass(frozen=True)
class Readings:
    """Lines as the recogniser is to read them: each once, and once more turned by 180 degrees where in doubt."""

    quads_px: Tensor  # (N, 4, 2) float32 in the upright frame, from the text's supposed top left
    page: Tensor  # (N,) int64
    line: Tensor  # (N,) int64, the line that is read; the first L readings are the lines in their order
    widths_px: Tensor  # (N,) int64, width of the crop at the recogniser's height
    line_count: int  # L


@dataclass(frozen=True)
class Texts:
    """What was read."""

    quads_px: Tensor  # (L, 4, 2) float32 in the upright frame, from the text's own top left
    page: Tensor  # (L,) int64, ascending
    scores: Tensor  # (L,) float32, mean probability of the characters; 0 for no character
    tokens: Tensor  # (ΣT,) int16 or int32, class indices of all readings end to end; 0 where the collapse left nothing
    begin: Tensor  # (L,) int64, where each line's tokens begin
    steps: Tensor  # (L,) int64, how many there are
