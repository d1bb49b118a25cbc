"""Text quads from probability maps: the post-processing of DB (differentiable binarization), in batched tensors.

Source: Liao et al., "Real-time Scene Text Detection with Differentiable Binarization" (2020), as RapidOCR's
DBPostProcess does it one contour at a time with OpenCV and pyclipper. Here all components of all maps are treated at
once; geometry is float32 whatever the maps are.

Shapes: P maps, N runs, K components, L lines that are kept, M points, A angles (legend in `records`). Frame: pixels
of each map, pixel centres at integer + 0.5, y down; OpenCV's coordinates are smaller by 0.5.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from quintet.tensors.components import Runs, label_runs, threshold_and_dilate
from quintet.tensors.records import Lines, Raster

# 16 MiB of float32 in one temporary tensor: longer work is cut into chunks.
CHUNK_ELEMENTS = 2**22
# (number of angles, degrees between them), each level around the best of the one before. The third level keeps
# the area of a line 30 times as long as high within 1 %; two levels (0.2 degrees) leave 5 %.
ANGLE_LEVELS = ((45, 2.0), (21, 0.2), (21, 0.02))
# Samples across and along a rectangle. On 621 lines of receipts the mean distance from RapidOCR's score is 0.011;
# 12 x 48 gives 0.018, 32 x 48 gives 0.009.
SCORE_GRID = (24, 32)
# RapidOCR's smallest side of a rectangle, and how many pixels more it asks for after unclipping.
MIN_SIDE_PX, EXTRA_SIDE_PX = 3, 2


@dataclass(frozen=True)
class Rectangles:
    """Rotated rectangles, in the frame of their maps."""

    centre: Tensor  # (K, 2) float32, x and y in pixels
    size: Tensor  # (K, 2) float32, width and height in pixels: extents between pixel centres, as OpenCV counts them
    angle: Tensor  # (K,) float32, radians from the x axis to the width, clockwise on the screen
    page: Tensor  # (K,) int64, index of the map


@dataclass(frozen=True)
class _Points:
    """Pixel centres that determine the hulls of K components: x, y (M,) float32 and component (M,) int64."""

    x: Tensor
    y: Tensor
    component: Tensor


def text_quads(probabilities: Raster, *, threshold: float, box_threshold: float, unclip_ratio: float) -> Lines:
    """Find the text lines of a batch of probability maps, in the frame of their maps, which unclipping may leave.

    Nothing is dropped before the one filter at the end. Host syncs, whatever the number of maps and lines: dilation 3,
    runs 5, rectangles 2, the filter 1 — 11 in all, and one more for every eight rounds of labelling that an adversarial
    mask needs.

    Args:
        probabilities: P maps, values (S,) of any float dtype; together they cover all S elements.
        threshold: probability that a text pixel must exceed.
        box_threshold: smallest mean probability of a line.
        unclip_ratio: how far a line grows, see `unclip`.
    """
    inner = rectangles_around(label_runs(threshold_and_dilate(probabilities, threshold)))
    outer = unclip(inner, unclip_ratio)
    keep = (inner.size.amin(1) >= MIN_SIDE_PX) & (rectangle_scores(probabilities, inner) >= box_threshold)
    keep &= outer.size.amin(1) >= MIN_SIDE_PX + EXTRA_SIDE_PX
    kept = keep.nonzero().squeeze(1)
    kept = kept[outer.page[kept].argsort(stable=True)]
    return Lines(corners(outer)[kept], outer.page[kept])


def rectangles_around(runs: Runs) -> Rectangles:
    """Find each component's rectangle of least area among a fan of angles, K of them in the order of the components.

    The rectangle is that of ``cv2.minAreaRect``, moved by 0.5 px: 45 angles over 90 degrees, then two finer fans
    around the best. Two host syncs: the number of rows of all components, and of points on their hulls.
    """
    points = _hull_points(runs)
    angle = torch.zeros(runs.component_page.shape[0], device=runs.start.device)
    for count, step_deg in ANGLE_LEVELS:
        fan = torch.arange(count, device=angle.device) - count // 2
        angle = _least_area_angle(points, angle[:, None] + fan * math.radians(step_deg))
    low, high = _extents(points, angle[:, None])
    centre = _rotate((low + high)[:, 0] / 2, angle)
    return Rectangles(centre, (high - low)[:, 0], angle, runs.component_page)


def rectangle_scores(probabilities: Raster, rectangles: Rectangles) -> Tensor:
    """Take the mean probability inside each of K rectangles in the frame of P maps: (K,) float32.

    Approximates RapidOCR's ``box_score_fast`` (the mean under ``cv2.fillPoly``, which also paints the outline) by a
    fixed grid of nearest-neighbour samples over the rectangle grown by 1 px in width and height. Samples outside the
    map do not count. No host sync.
    """
    chunk = CHUNK_ELEMENTS // math.prod(SCORE_GRID)
    pieces = zip(*(field.split(chunk) for field in vars(rectangles).values()), strict=True)
    return torch.cat([_grid_means(probabilities, Rectangles(*piece)) for piece in pieces])


def unclip(rectangles: Rectangles, ratio: float) -> Rectangles:
    """Grow each rectangle on all sides by area * ratio / perimeter, as DB's polygon offset does."""
    half_perimeter = rectangles.size.sum(1).clamp(min=1e-6)
    growth = rectangles.size.prod(1) * ratio / half_perimeter  # twice the distance, once for each side
    return Rectangles(rectangles.centre, rectangles.size + growth[:, None], rectangles.angle, rectangles.page)


def corners(rectangles: Rectangles) -> Tensor:
    """Give the corners of K rectangles, clockwise on the screen from the top left: (K, 4, 2) float32 in their frame.

    The order is that of RapidOCR's ``get_mini_boxes``: of the two leftmost corners the upper one comes first, then the
    upper and the lower of the two rightmost. Text runs along the first edge, save in tall boxes.
    """
    # From the rectangle's own numbers: a table of signs would have to be copied from the host, which is a sync.
    half, zero = rectangles.size / 2, torch.zeros_like(rectangles.angle)
    along = _rotate(torch.stack([half[:, 0], zero], 1), rectangles.angle)
    across = _rotate(torch.stack([zero, half[:, 1]], 1), rectangles.angle)
    steps = torch.stack([-along - across, along - across, along + across, across - along], 1)
    points = _sorted_by(rectangles.centre[:, None] + steps, 0)
    left, right = _sorted_by(points[:, :2], 1), _sorted_by(points[:, 2:], 1)
    return torch.stack([left[:, 0], right[:, 0], right[:, 1], left[:, 1]], 1)


def _sorted_by(points: Tensor, axis: int) -> Tensor:
    """Sort (K, n, 2) points by one coordinate, equal ones in the order given."""
    order = points[:, :, axis].argsort(dim=1, stable=True)
    return points.gather(1, order[:, :, None].expand_as(points))


def _rotate(vectors: Tensor, angle: Tensor) -> Tensor:
    """Turn (..., 2) vectors by (...) radians, clockwise on the screen."""
    x, y = vectors.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([x * cos - y * sin, x * sin + y * cos], -1)


def _hull_points(runs: Runs) -> _Points:
    """Reduce N runs to the few points that can lie on the convex hulls of their components.

    Each row of a component counts with its leftmost and its rightmost pixel, and those only where they bulge.
    """
    components = runs.component_page.shape[0]
    top = _segment_reduce(runs.row, runs.component, components, "amin")
    rows = _segment_reduce(runs.row, runs.component, components, "amax") - top + 1
    total = int(rows.sum())
    # A component has a run in every row between its first and its last: its rows need no gaps in this table.
    first = rows.cumsum(0) - rows - top
    slot = first[runs.component] + runs.row
    left = _segment_reduce(runs.start, slot, total, "amin")
    right = _segment_reduce(runs.stop, slot, total, "amax")
    component = torch.repeat_interleave(rows, output_size=total)
    bulges = torch.stack([_bulges(left, component), _bulges(-right, component)], 1)
    kept = bulges.flatten().nonzero().squeeze(1)
    owner = component[kept // 2]
    x = torch.stack([left, right], 1).flatten()[kept] + 0.5
    return _Points(x, kept // 2 - first[owner] + 0.5, owner)


def _segment_reduce(values: Tensor, segment: Tensor, segments: int, how: str) -> Tensor:
    """Take the smallest or largest of (N, …) values in each segment that (N,) indices name: (segments, …)."""
    index = segment.view(-1, *[1] * (values.ndim - 1)).expand_as(values)
    empty = values.new_zeros(segments, *values.shape[1:])
    return empty.scatter_reduce(0, index, values, how, include_self=False)


def _bulges(position: Tensor, component: Tensor) -> Tensor:
    """Tell where an edge of a component lies left of the chord between its neighbours: (M,) bool.

    Other points cannot be corners of the hull. Chords of several lengths leave a third of the run ends of receipts.
    """
    bulges = torch.ones_like(position, dtype=torch.bool)
    for reach in (1, 2, 4, 8):
        before, after = position[: -2 * reach], position[2 * reach :]
        ends = component[: -2 * reach] != component[2 * reach :]
        bulges[reach:-reach] &= ends | (2 * position[reach:-reach] < before + after)
    return bulges


def _least_area_angle(points: _Points, angles: Tensor) -> Tensor:
    """Choose for each component the one of its (K, A) angles whose rectangle has the least area: (K,) radians."""
    chunk = max(1, CHUNK_ELEMENTS // max(1, 2 * points.x.shape[0]))
    areas = []
    for piece in torch.split(angles, chunk, dim=1):
        low, high = _extents(points, piece)
        areas.append((high - low).prod(2))
    best = torch.cat(areas, 1).argmin(1, keepdim=True)
    return angles.gather(1, best).squeeze(1)


def _extents(points: _Points, angles: Tensor) -> tuple[Tensor, Tensor]:
    """Bound each component along and across its (K, A) angles: lowest and highest coordinates, (K, A, 2) each."""
    cos, sin = angles.cos()[points.component], angles.sin()[points.component]
    x, y = points.x[:, None], points.y[:, None]
    positions = torch.stack([x * cos + y * sin, y * cos - x * sin], 2)
    low, high = (_segment_reduce(positions, points.component, len(angles), how) for how in ("amin", "amax"))
    return low, high


def _grid_means(probabilities: Raster, rectangles: Rectangles) -> Tensor:
    """Average a grid of samples over each rectangle, its outer half pixel included: (K,) float32."""
    across, along = ((torch.arange(n, device=rectangles.angle.device) + 0.5) / n - 0.5 for n in SCORE_GRID)
    grid = torch.stack(torch.meshgrid(along, across, indexing="ij"), -1).flatten(0, 1)
    steps = _rotate(grid * (rectangles.size[:, None] + 1), rectangles.angle[:, None])
    x, y = (rectangles.centre[:, None] + steps).floor().long().unbind(-1)
    page = rectangles.page[:, None]
    width, height = probabilities.widths[page], probabilities.heights[page]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    flat = probabilities.offsets[page] + y * width + x
    samples = probabilities.values[torch.where(inside, flat, 0)].float() * inside
    return samples.sum(1) / inside.sum(1).clamp(min=1)
