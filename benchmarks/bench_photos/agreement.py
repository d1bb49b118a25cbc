"""How far two readers agree on the same photos: faces and texts with a partner, and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.quad_match import Quad, match_quads

MIN_IOU = 0.7


@dataclass(frozen=True)
class Agreement:
    """Over all photos: what each found, and how much of it has a partner of its own at `MIN_IOU`."""

    faces: tuple[int, int, int]  # theirs, ours, matched
    texts: tuple[int, int, int]
    points_px: float  # the largest distance of a point of matched faces, along x or y
    nudity: float  # the largest difference

    def describe(self) -> str:
        """In words."""
        parts = [
            f"{what}: {matched} agree at IoU {MIN_IOU} of their {theirs} and our {ours}"
            for what, (theirs, ours, matched) in (("faces", self.faces), ("texts", self.texts))
        ]
        return f"{'; '.join(parts)}; points within {self.points_px:.2f} px; nudity within {self.nudity:.3f}"


def compare(theirs: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]]) -> Agreement:
    """Two results a photo, in the same order."""
    faces, texts, distances, scores = [], [], [0.0], [0.0]
    for a, b in zip(theirs, ours, strict=True):
        pairs = match_quads(_boxes(a), _boxes(b), MIN_IOU)
        faces.append((len(a["faces"]), len(b["faces"]), len(pairs)))
        distances += [_distance(a["faces"][i], b["faces"][j]) for i, j, _ in pairs]
        quads_a, quads_b = ([text["quad_px"] for text in result["texts"]] for result in (a, b))
        texts.append((len(quads_a), len(quads_b), len(match_quads(quads_a, quads_b, MIN_IOU))))
        scores.append(abs(a["nudity"] - b["nudity"]))
    return Agreement(_summed(faces), _summed(texts), max(distances), max(scores))


def _summed(counts: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
    theirs, ours, matched = map(sum, zip(*counts, strict=True))
    return theirs, ours, matched


def _boxes(result: dict[str, Any]) -> list[Quad]:
    return [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]] for x0, y0, x1, y1 in (face["box_px"] for face in result["faces"])]


def _distance(a: dict[str, Any], b: dict[str, Any]) -> float:
    return float(np.abs(np.subtract(a["points_px"], b["points_px"])).max())
