"""Records to results: one copy to the host, then plain Python."""

from collections.abc import Sequence
from typing import Any

from quintet.engine.engine import Engine
from quintet.pixels.image_chain import Result
from quintet.tensors.levels import slices
from quintet.tensors.records import Views
from torch import Tensor

from newchain.networks import KEYPOINTS, KINDS, OBJECTS, SCENES
from newchain.regions import Objects


class Writer:
    """Turns the last records of a batch into results."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(
        self, images: Views, scenes: Tensor, objects: Objects, kinds: Tensor, shares: Tensor, points_px: Tensor
    ) -> list[Result]:
        """One JSON-ready result an image, coordinates in the image frame."""
        scene_scores, scene = scenes.max(dim=1)
        kind_scores, kind = kinds.max(dim=1)
        of_objects = (objects.labels, objects.scores, kind, kind_scores, shares, objects.boxes_px, points_px)
        image, *hosted = self._engine.to_host(objects.image, scene, scene_scores, *of_objects)  # the one copy
        labels, scores, *columns = (column.tolist() for column in hosted)
        found = [_object(row) for row in zip(*columns, strict=True)]
        rows = zip(images.sizes_px.tolist(), labels, scores, slices(image, len(images.sizes_px)), strict=True)
        return [
            {
                "width_px": width,
                "height_px": height,
                "scene": _labelled(SCENES, label, score),
                "objects": found[own],
            }
            for (width, height), label, score, own in rows
        ]


def _object(row: Sequence[Any]) -> Result:
    """One object of its label, score, kind, kind's score, share, box and keypoints."""
    label, score, kind, kind_score, share, box_px, points_px = row
    points = {name: [round(x, 1), round(y, 1)] for name, (x, y) in zip(KEYPOINTS, points_px, strict=True)}
    return {
        **_labelled(OBJECTS, label, score),
        "box_px": [round(value, 1) for value in box_px],
        "kind": _labelled(KINDS, kind, kind_score),
        "share": round(share, 4),
        "keypoints_px": points,
    }


def _labelled(labels: tuple[str, ...], label: int, score: float) -> Result:
    return {"label": labels[label], "score": round(score, 4)}
