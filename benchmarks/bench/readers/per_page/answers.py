"""What the networks say, made sense of one page and one line at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quintet.pages.settings import Settings
from quintet.pages.stages.layout import LABELS
from rapid_layout.model_handler.pp.post_process import PPPostProcess
from rapidocr.ch_ppocr_det.main import TextDetector
from rapidocr.ch_ppocr_det.utils import DBPostProcess
from rapidocr.utils.process_img import get_rotate_crop_image

from benchmarks.bench.readers.per_page.images import Floats, Image


class Boxes:
    """RapidOCR's own boxes: contours, rectangles and unclipping one after the other."""

    def __init__(self, settings: Settings) -> None:
        self._process = DBPostProcess(
            thresh=settings.text_threshold,
            box_thresh=settings.box_threshold,
            unclip_ratio=settings.unclip_ratio,
            use_dilation=True,
        )

    def __call__(self, probabilities: Floats, image: Image) -> NDArray[np.float32]:
        """Quads of one page, (L, 4, 2) in its pixels, from its (1, H, W) map."""
        boxes, _ = self._process(probabilities[None], image.shape[:2])
        return np.asarray(TextDetector.sorted_boxes(boxes), np.float32).reshape(-1, 4, 2)


class Regions:
    """RapidLayout's own decoding and NMS, class by class."""

    def __init__(self, settings: Settings) -> None:
        self._process = PPPostProcess(list(LABELS), settings.region_score, settings.region_iou)

    def __call__(self, outputs: Sequence[Floats], image: Image, seen: Floats) -> list[dict[str, Any]]:
        """Regions of one page from its eight maps, (1, A, 10) and (1, A, 32), and what the network saw of it."""
        boxes, scores, labels = self._process(image.shape[:2], seen[None], list(outputs))
        return [
            {"label": label, "score": score, "box_px": box}
            for box, score, label in zip(boxes, scores, labels, strict=True)
        ]


def crops(image: Image, quads: NDArray[np.float32]) -> list[Image]:
    """The page's lines, rectified one by one."""
    return [np.ascontiguousarray(get_rotate_crop_image(image, quad.copy())) for quad in quads]


def read_line(probabilities: Floats, alphabet: Sequence[str]) -> tuple[str, float]:
    """Greedy CTC of one line, (T, classes): its text and the mean probability of its characters."""
    classes = probabilities.argmax(axis=1)
    begins = classes != 0
    begins[1:] &= classes[1:] != classes[:-1]
    if not begins.any():
        return "", 0.0
    scores = probabilities[begins, classes[begins]]
    return "".join(alphabet[token] for token in classes[begins]).strip(), float(scores.mean())
