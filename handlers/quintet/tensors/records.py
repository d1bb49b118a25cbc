"""The records that stages of any chain pass on, and the one legend of their shapes.

Legend
    P  images in a batch         L  lines, or other quads, of all images
    N  items of any kind         S  elements laid end to end
    H, W  height and width in pixels

Points are (x, y) in float32 pixels; a pixel's centre lies at integer + 0.5. Quads run clockwise, a text's from its own
top-left corner: (N, 4, 2). Homographies are (N, 3, 3) and map column vectors (x, y, 1). Empty is a valid value.

Frames
    image    the image as a viewer shows it (EXIF applied)
    upright  the image after its orientation is undone, where a chain does that
    canvas   what one network sees of an image
    crop     what one network sees of a part of it
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
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

    def some(self, numbers: Tensor) -> "Raster":
        """The items of (K,) int64 numbers; no value moves."""
        return Raster(self.values, self.offsets[numbers], self.heights[numbers], self.widths[numbers])


class Looks(NamedTuple):
    """How items see a batch's images; `quintet.tensors.sampling.sample` describes it."""

    page: Tensor  # (M,) int64
    to_image: Tensor  # (M, 3, 3) float32, item frame to image frame
    items: Tensor | None  # (N,) int64, which of the M; all, if None
    widths_px: Tensor | None  # (M,) int64, how much is filled; all, if None

    @property
    def item_count(self) -> int:
        """N."""
        return len(self.page if self.items is None else self.items)

    def chosen(self) -> "Looks":
        """The same looks, described for the N items alone."""
        if self.items is None:
            return self
        widths_px = None if self.widths_px is None else self.widths_px[self.items]
        return Looks(self.page[self.items], self.to_image[self.items], None, widths_px)


@dataclass(frozen=True)
class Images:
    """A batch of decoded images in their image frames."""

    pixels: Raster  # values (S,) int32 on the device, R + 256 G + 65536 B, the highest byte without meaning
    sizes_px: Tensor  # (P, 2) int64 on the host: width, height

    def some(self, numbers: Tensor, to_device: Callable[[Tensor], Tensor]) -> "Images":
        """Those of (N,) int64 numbers on the host; no pixel moves."""
        return Images(self.pixels.some(to_device(numbers)), self.sizes_px[numbers])

    def as_they_are(self) -> "Views":
        """Views whose frames are the images' own."""
        same = torch.eye(3, device=self.pixels.values.device).expand(len(self.sizes_px), 3, 3)
        return Views(self.pixels, self.sizes_px, same)


@dataclass(frozen=True)
class Views:
    """Images in frames of their own. No pixel moves: what looks at them composes `to_image`."""

    pixels: Raster  # as in `Images`, still in the image frame
    sizes_px: Tensor  # (P, 2) int64 on the host: width, height in the frame of the view
    to_image: Tensor  # (P, 3, 3) float32, frame of the view to image frame

    def some(self, numbers: Tensor, to_device: Callable[[Tensor], Tensor]) -> "Views":
        """Those of (N,) int64 numbers on the host; no pixel moves."""
        on_device = to_device(numbers)
        return Views(self.pixels.some(on_device), self.sizes_px[numbers], self.to_image[on_device])


@dataclass(frozen=True)
class Lines:
    """Detected lines of all images."""

    quads_px: Tensor  # (L, 4, 2) float32; the text runs along the first edge
    page: Tensor  # (L,) int64, ascending: the image of each
