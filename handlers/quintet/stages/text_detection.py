"""Text detection: the quads of the lines in each view."""

import math
import sys
from dataclasses import dataclass

import torch
from torch import Tensor

from quintet.engine.calls import full_call, in_batches
from quintet.engine.engine import Engine
from quintet.engine.settings import EngineSettings, between
from quintet.engine.weights import Source
from quintet.tensors import geometry
from quintet.tensors.records import Lines, Raster, Views
from quintet.tensors.sampling import HALF, sample
from quintet.tensors.text_quads import text_quads

# Its MODEL_LICENSES.md: weights by the PaddleOCR project.
RAPIDOCR = ("rapidocr", "3.10.0", "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050")
SOURCE = Source(
    "text_detection",
    *RAPIDOCR,
    "rapidocr/models/PP-OCRv6_det_small.onnx",
    "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    ("N", 3, "H", "W"),
)
# OpenVINO keeps what it prepared for each shape, 5,000 operators a network and stream. Canvases come in hundreds of
# sizes, at 4 MB each: 1,000 operators are 13 of them, and preparing anew costs 2 % of a call.
OPENVINO_OPTIONS = {"CPU_RUNTIME_CACHE_CAPACITY": "1000"}


PAPER = 0.5**0.5  # short side by long side
# Canvases that are prepared on CUDA: of the full length, down to a quarter of it wide. All 368 would be 68,000 plans of
# convolutions, and the service keeps 20,000.
USUAL_CANVASES = 61


@dataclass(frozen=True)
class TextDetectionSettings(EngineSettings):
    """Settings of this stage, which those of a chain extend: the canvas, then DB's own parameters."""

    detection_call_pixels: int = between(20_000_000, 1 << 16, 1 << 31, runtime=True)  # canvas pixels of one call

    detection_long_side_px: int = between(1280, 64, 8192)
    detection_short_side_px: int = between(736, 32, 4096)
    detection_canvas_step_px: int = between(32, 32, 1024)
    text_threshold: float = between(0.3, 0.0, 1.0)
    box_threshold: float = between(0.5, 0.0, 1.0)
    unclip_ratio: float = between(1.6, 0.0, 5.0)


@dataclass(frozen=True)
class _Canvases:
    """What the network sees of each view."""

    sizes_px: Tensor  # (P, 2) int64 on the host: width, height
    scales: Tensor  # (P, 2) float32, pixels of the view per canvas pixel
    page: Tensor  # (P,) int64, which view each shows
    to_image: Tensor  # (P, 3, 3) float32, canvas to image frame


class TextDetection:
    """DBNet over each view at a size that depends on that view alone, equal canvases together in one call.

    Source: M. Liao et al., Real-time Scene Text Detection with Differentiable Binarization (AAAI 2020).
    """

    def __init__(
        self, engine: Engine, settings: TextDetectionSettings, call_pixels: int, map_pixels: int = sys.maxsize
    ) -> None:
        """Take the network `text_detection` of the engine.

        Args:
            engine: where it runs.
            settings: of this stage.
            call_pixels: canvas pixels of one call.
            map_pixels: canvas pixels of the calls in whose maps lines are looked for together.
        """
        self._engine = engine
        canvases = all_canvas_sizes(settings)
        full = {(3, height, width): full_call(width * height, call_pixels) for width, height in canvases}
        network = engine.network("text_detection")
        self._network = engine.in_few_shapes(network, full, usual=USUAL_CANVASES, captured=False)
        self._settings = settings
        self._call_pixels, self._map_pixels = call_pixels, map_pixels

    def __call__(self, pages: Views) -> Lines:
        """Find the lines of each view, in its frame."""
        canvases = self._canvases(pages)
        calls = self._engine.plan(canvases.sizes_px, self._call_pixels)
        # A CPU looks for lines in each map while a cache holds it; CUDA in all at once, since each search waits for it.
        pixels = [int(canvases.sizes_px[call].prod(dim=1).sum()) for call in calls]
        together = in_batches(pixels, self._map_pixels)
        found = self._engine.each(lambda some: self._find(pages, canvases, calls[some]), together)
        page = torch.cat([lines.page for lines in found])
        by_page = page.argsort(stable=True)
        return Lines(torch.cat([lines.quads_px for lines in found])[by_page], page[by_page])

    def _canvases(self, pages: Views) -> _Canvases:
        sizes = canvas_sizes(pages.sizes_px, self._settings)
        scales = self._engine.to_device(pages.sizes_px / sizes)
        page = torch.arange(len(scales), device=scales.device)
        return _Canvases(sizes, scales, page, pages.to_image @ geometry.scaling(scales))

    def _prepare(self, pages: Views, canvases: _Canvases, call: Tensor, size_px: tuple[int, int]) -> Tensor:
        """The pages of one call on their common canvas, (n, 3, H, W)."""
        dtype = self._engine.dtype
        return sample(pages.pixels, canvases.page, canvases.to_image, size_px, HALF, items=call, dtype=dtype)

    def _find(self, pages: Views, canvases: _Canvases, calls: list[Tensor]) -> Lines:
        """The lines of some calls; their maps laid end to end become quads at once, whatever their sizes."""
        order, on_device = torch.cat(calls), self._engine.calls_to_device(calls)
        sizes_px = [(width, height) for width, height in canvases.sizes_px[[int(call[0]) for call in calls]].tolist()]
        prepared = (self._prepare(pages, canvases, *call) for call in zip(on_device, sizes_px, strict=True))
        values = torch.cat([self._network(batch)[0].reshape(-1) for batch in prepared])
        probabilities = Raster.end_to_end(values, canvases.sizes_px[order], self._engine.to_device)
        found = text_quads(
            probabilities,
            threshold=self._settings.text_threshold,
            box_threshold=self._settings.box_threshold,
            unclip_ratio=self._settings.unclip_ratio,
        )
        page = torch.cat(on_device)[found.page]
        sizes = self._engine.to_device(pages.sizes_px.float())
        quads_px = found.quads_px * canvases.scales[page, None]
        return Lines(quads_px.clamp_(min=0).minimum(sizes[page, None]), page)


def canvas_sizes(sizes_px: Tensor, settings: TextDetectionSettings) -> Tensor:
    """(P, 2) widths and heights of canvases: within the long side, if that allows not under the short, in steps."""
    sizes = sizes_px.double()
    grow = (settings.detection_short_side_px / sizes.amin(dim=1)).clamp(min=1)
    shrink = settings.detection_long_side_px / sizes.amax(dim=1)
    step = settings.detection_canvas_step_px
    steps = (sizes * torch.minimum(grow, shrink)[:, None] / step).round().clamp(min=1)
    return (steps * step).long()


def all_canvas_sizes(settings: TextDetectionSettings) -> list[tuple[int, int]]:
    """Every width and height that a canvas can have, the most usual first.

    Pages with a side of the full length or more come to that, most of them in the proportions of paper.
    """
    step, full_px = settings.detection_canvas_step_px, settings.detection_long_side_px
    short_px = min(settings.detection_short_side_px, full_px)
    # What lies half-way between two steps may come to either.
    short, low, high = (
        max(1, bound)
        for bound in (
            math.ceil(short_px / step - 0.5), math.ceil(full_px / step - 0.5), math.floor(full_px / step + 0.5),
        )
    )  # fmt: skip
    sides = {(long, one) for long in range(low, high + 1) for one in range(1, long + 1)}
    sides |= {(long, one) for one in range(short, high + 1) for long in range(one, high + 1)}
    usual_first = sorted(sides, key=lambda side: (-side[0] if side[0] < low else -low, abs(side[1] / side[0] - PAPER)))
    return list(dict.fromkeys((w * step, h * step) for long, one in usual_first for w, h in ((one, long), (long, one))))
