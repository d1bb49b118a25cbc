"""Row b1: RapidOCR alone (detection, line classifier, recognition), with the faster of the CPU engines it offers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rapidocr import EngineType, RapidOCR

from benchmarks.bench.readers.reader import WARM_PAGES, write_result


def make() -> RapidOcrAlone:
    """The reader of this row."""
    return RapidOcrAlone()


class RapidOcrAlone:
    """RapidOCR as it comes, but for its engine."""

    def __init__(self) -> None:
        engines = {"ONNX Runtime": EngineType.ONNXRUNTIME, "OpenVINO": EngineType.OPENVINO}
        self._candidates = {name: _make(engine) for name, engine in engines.items()}
        self._ocr = self._candidates["ONNX Runtime"]

    def warm_up(self, pages: Sequence[Path]) -> str:
        """Read the same pages with each engine, twice, and keep the one whose second time is shorter."""
        seconds = {name: _second_time(ocr, pages[:WARM_PAGES]) for name, ocr in self._candidates.items()}
        best = min(seconds, key=lambda name: seconds[name])
        self._ocr = self._candidates[best]
        self._candidates.clear()
        tried = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
        return f"{best} ({tried} for {len(pages[:WARM_PAGES])} pages); knows no page orientation"

    def read(self, pages: Sequence[Path], output: Path) -> dict[str, Any]:
        """One page after the other, each written before the next is opened."""
        for page in pages:
            write_result(output, page.name, {"lines": peer_lines(self._ocr(str(page)))})
        return {}


def peer_lines(answer: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - RapidOCR has no types, and four kinds of answer
    """RapidOCR's answer in the form of our own lines."""
    if getattr(answer, "boxes", None) is None or getattr(answer, "txts", None) is None:
        return []
    lines = zip(answer.txts, answer.scores, answer.boxes.tolist(), strict=True)
    return [{"text": text, "score": float(score), "quad_px": quad} for text, score, quad in lines]


def _make(engine: EngineType) -> RapidOCR:
    parts = {f"{part}.engine_type": engine for part in ("Det", "Cls", "Rec")}
    return RapidOCR(params={"Global.log_level": "critical", **parts})


def _second_time(ocr: RapidOCR, pages: Sequence[Path]) -> float:
    """Seconds for the pages, once everything is loaded and compiled."""
    for _ in range(2):
        begin = time.perf_counter()
        for page in pages:
            ocr(str(page))
        seconds = time.perf_counter() - begin
    return seconds
