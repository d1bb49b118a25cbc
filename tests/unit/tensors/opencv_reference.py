"""The reference of DB's post-processing: RapidOCR's own, which works one contour at a time with OpenCV and pyclipper.

Coordinates are returned in Quintet's convention (pixel centres at integer + 0.5), 0.5 px above OpenCV's.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from quintet.tensors.records import Raster
from rapidocr.ch_ppocr_det.utils import DBPostProcess
from shapely.geometry import Polygon  # type: ignore[import-untyped]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def raster_of(maps: Sequence[Floats | Mask], memory_order: Sequence[int] | None = None) -> Raster:
    """Lay (H, W) maps end to end, in their own order or in another, in which item n is still map n."""
    order = list(range(len(maps)) if memory_order is None else memory_order)
    offsets = torch.zeros(len(maps), dtype=torch.int64)
    sizes = torch.tensor([maps[n].size for n in order], dtype=torch.int64)
    offsets[order] = sizes.cumsum(0) - sizes
    heights, widths = torch.tensor([each.shape for each in maps], dtype=torch.int64).reshape(-1, 2).unbind(1)
    empty = torch.zeros(0, dtype=torch.float32)
    values = torch.cat([torch.from_numpy(maps[n]).flatten() for n in order]) if order else empty
    return Raster(values, offsets, heights, widths)


def reference_quads(probability: Floats, *, threshold: float, box_threshold: float, unclip_ratio: float) -> Floats:
    """Find the text quads of one (H, W) map: (L, 4, 2) float32."""
    process = DBPostProcess(
        thresh=threshold,
        box_thresh=box_threshold,
        max_candidates=100_000,
        unclip_ratio=unclip_ratio,
        use_dilation=True,
    )
    quads, _ = process(probability[None, None].astype(np.float32), probability.shape)
    return np.asarray(quads, np.float32).reshape(-1, 4, 2) + 0.5


def reference_score(probability: Floats, quad: Floats) -> float:
    """Take RapidOCR's fast score of one (4, 2) quad over a (H, W) map."""
    return float(DBPostProcess.box_score_fast(probability, quad - 0.5))


def reference_unclip(quad: Floats, ratio: float) -> Floats:
    """Grow one (4, 2) quad with pyclipper and put a rectangle of least area around it: (4, 2) float32."""
    process = DBPostProcess(unclip_ratio=ratio)
    grown, _ = process.get_mini_boxes(process.unclip(quad - 0.5))
    return np.asarray(grown, np.float32) + 0.5


def reference_order(points: Floats) -> Floats:
    """Order the corners of the least rectangle around (M, 2) points as RapidOCR's get_mini_boxes does: (4, 2)."""
    quad, _ = DBPostProcess().get_mini_boxes((points - 0.5)[:, None].astype(np.float32))
    return np.asarray(quad, np.float32) + 0.5


def reference_partition(mask: Mask) -> NDArray[np.int32]:
    """Label the 8-connected components of one (H, W) mask: (H, W) int32, 0 is background."""
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1], np.int32)


def reference_dilation(mask: Mask) -> Mask:
    """Dilate one (H, W) mask with a 2 x 2 kernel of ones, anchored as OpenCV does by default."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((2, 2), np.uint8)), bool)


def matched_share(quads: Floats, others: Floats, iou: float) -> float:
    """Tell what share of (L, 4, 2) quads overlaps one of the others by at least this IoU; 1 where there are none."""
    if len(quads) == 0:
        return 1.0
    polygons = [Polygon(other) for other in others]
    return float(np.mean([any(_iou(Polygon(quad), other) >= iou for other in polygons) for quad in quads]))


def _iou(one: Polygon, other: Polygon) -> float:
    if not one.intersects(other):
        return 0.0
    shared = one.intersection(other).area
    return float(shared / (one.area + other.area - shared))
