"""How well two sets of quads agree: intersection over union of convex quads, and matching one set to another.

Quads are four (x, y) corners in any one frame, clockwise or counter-clockwise from any corner. Plain Python: a page has
a hundred quads, and nothing here may depend on the code it judges.
"""

from collections.abc import Sequence

Point = tuple[float, float]
Polygon = list[Point]
Quad = Sequence[Sequence[float]]  # four corners of two coordinates


def quad_iou(a: Quad, b: Quad) -> float:
    """Intersection over union of two convex quads, from 0 to 1; 0 if both are without area."""
    if _apart(a, b):
        return 0.0
    first, second = _clockwise(a), _clockwise(b)
    shared = _area(_clip(first, second))
    union = _area(first) + _area(second) - shared
    return shared / union if union > 0 else 0.0


def match_quads(expected: Sequence[Quad], found: Sequence[Quad], min_iou: float = 0.5) -> list[tuple[int, int, float]]:
    """Pair quads one to one, best overlap first.

    Returns:
        (index in expected, index in found, IoU) of every pair with an IoU of at least `min_iou`.
    """
    overlaps = [(quad_iou(e, f), i, j) for i, e in enumerate(expected) for j, f in enumerate(found)]
    pairs: list[tuple[int, int, float]] = []
    used_expected: set[int] = set()
    used_found: set[int] = set()
    for iou, i, j in sorted(overlaps, key=lambda overlap: -overlap[0]):
        if iou >= min_iou and i not in used_expected and j not in used_found:
            pairs.append((i, j, iou))
            used_expected.add(i)
            used_found.add(j)
    return pairs


def share_covered(quads: Sequence[Quad], by: Sequence[Quad], min_iou: float) -> float:
    """Share of `quads` that have at least one of `by` at IoU ≥ `min_iou`; 1 if there are none to cover."""
    covered = sum(any(quad_iou(quad, other) >= min_iou for other in by) for quad in quads)
    return covered / len(quads) if len(quads) else 1.0


def _apart(a: Quad, b: Quad) -> bool:
    """Whether the upright boxes around two quads are disjoint: true for nearly all pairs, and cheap."""
    return any(
        max(p[axis] for p in a) <= min(p[axis] for p in b) or max(p[axis] for p in b) <= min(p[axis] for p in a)
        for axis in (0, 1)
    )


def _signed_area(polygon: Polygon) -> float:
    """Area by the shoelace formula; positive if the corners run clockwise as seen, y pointing down."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True)) / 2


def _area(polygon: Polygon) -> float:
    """Area of a polygon; 0 for fewer than three corners."""
    return abs(_signed_area(polygon)) if len(polygon) > 2 else 0.0


def _clockwise(quad: Quad) -> Polygon:
    """The quad's corners, clockwise as seen."""
    corners = [(float(p[0]), float(p[1])) for p in quad]
    return corners if _signed_area(corners) >= 0 else corners[::-1]


def _clip(subject: Polygon, window: Polygon) -> Polygon:
    """What of one convex polygon lies in another, both clockwise (Sutherland and Hodgman, 1974)."""
    for start, end in zip(window, window[1:] + window[:1], strict=True):
        subject = _cut(subject, start, end)
    return subject


def _cut(polygon: Polygon, start: Point, end: Point) -> Polygon:
    """What of a polygon lies to the right of the line from start to end, which is inside for a clockwise window."""
    kept: Polygon = []
    sides = [_side(point, start, end) for point in polygon]
    for i, (point, side) in enumerate(zip(polygon, sides, strict=True)):
        before, side_before = polygon[i - 1], sides[i - 1]
        if (side < 0) != (side_before < 0):
            t = side_before / (side_before - side)
            kept.append((before[0] + t * (point[0] - before[0]), before[1] + t * (point[1] - before[1])))
        if side >= 0:
            kept.append(point)
    return kept


def _side(point: Point, start: Point, end: Point) -> float:
    """Positive right of the line from start to end as seen, negative left of it, 0 on it."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
