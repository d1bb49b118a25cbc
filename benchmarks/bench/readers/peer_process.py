"""The process of a peer: `python -I peer_process.py PACKAGE MODELS`, by a Python that knows nothing of this project.

All in JSON, a value a line. stdin: the image files of a call. stdout: the package's name and version once its networks
are loaded, then for each call the lines of each image, in the form of our own.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

Lines = list[dict[str, Any]]
Reader = Callable[[list[str]], list[Lines]]


def faster_paddle(_: str) -> Reader:
    """The small models of the wheel, on all cores; boxes are upright."""
    engine = import_module("faster_paddle").OcrEngine(model_size="small", threads=len(os.sched_getaffinity(0)))

    def lines(answer: dict[str, Any]) -> Lines:
        return [
            _line(bound["text"], bound["confidence"], _corners(*bound["topLeftCoord"], *bound["bottomRightCoord"]))
            for bound in answer["bounds"].values()
        ]

    return lambda pages: [lines(answer) for answer in engine.ocr_batch([Path(page).read_bytes() for page in pages])]


def turboocr_engine(models: str) -> Reader:
    """The networks of a folder, by OpenVINO on the CPU."""
    ocr = import_module("turboocr_engine").OCR(
        "small", backend="openvino", device="CPU", models_dir=models, allow_download=False
    )
    return lambda pages: [
        [_line(line.text, line.confidence, line.box) for line in page.lines] for page in ocr.read_batch(pages)
    ]


def _corners(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    """A box as a quad, clockwise from the top left."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _line(text: str, score: float, quad: Sequence[Sequence[float]]) -> dict[str, Any]:
    return {"text": text, "score": score, "quad_px": quad}


_PEERS = {
    "faster_paddle": ("faster-paddle", faster_paddle),
    "turboocr_engine": ("turboocr-engine-openvino", turboocr_engine),
}


def main() -> None:
    """Load the peer, then read what stdin names until that ends."""
    package, models = sys.argv[1:]
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # stdout belongs to the answers; engines log there

        def answer(value: object) -> None:
            answers.write(json.dumps(value) + "\n")
            answers.flush()

        distribution, load = _PEERS[package]
        read = load(models)
        answer(f"{distribution} {version(distribution)}")
        for pages in sys.stdin:
            answer(read(json.loads(pages)))


if __name__ == "__main__":
    main()
