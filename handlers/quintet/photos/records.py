"""The records that pass between the stages of photos; the legend of `quintet.tensors.records` holds here too.

Legend
    P  photos in a batch         C  candidates: boxes that may be faces, of all photos
    F  faces of all photos       K  levels of the pyramids of all photos
"""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from quintet.engine.engine import Engine
from quintet.tensors.areas import area_sums
from quintet.tensors.records import Images, Raster, Views


@dataclass(frozen=True)
class Photos(Views):
    """Photos as they are, and the sums that make any scaled part of them."""

    sums: Raster  # values (S, 3) int32: see `area_sums`

    @classmethod
    def of(cls, images: Images, engine: Engine) -> Self:
        """Photos whose frame is the image's own."""
        views = images.as_they_are()
        sums = area_sums(images.pixels, images.sizes_px, engine.to_device)
        return cls(views.pixels, views.sizes_px, views.to_image, sums)


@dataclass(frozen=True)
class Candidates:
    """Squares that may hold a face."""

    boxes: Tensor  # (C, 4) float32, x0, y0, x1, y1 as MTCNN counts: see `face_boxes`
    page: Tensor  # (C,) int64, ascending


@dataclass(frozen=True)
class Faces:
    """Faces of all photos, in the image frame."""

    boxes_px: Tensor  # (F, 4) float32, x0, y0, x1, y1
    points_px: Tensor  # (F, 5, 2) float32: left eye, right eye, nose, left and right corner of the mouth, as seen
    scores: Tensor  # (F,) float32
    page: Tensor  # (F,) int64, ascending; within a photo the largest first
