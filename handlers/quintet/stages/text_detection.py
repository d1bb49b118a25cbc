"""Text detection: the quads of the lines in each view."""

import math
import sys
from collections.abc import Sequence
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
# Canvases that are prepared on CUDA: the first look's of full length, and the most usual of a closer look. All would be
# more than 68,000 plans of convolutions, and the service keeps 20,000.
USUAL_CANVASES = 61
# Pages where more than this share of the lines is small are looked at closer, as are those without a line.
_SMALL_SHARE = 0.25


@dataclass(frozen=True)
class TextDetectionSettings(EngineSettings):
    """Settings of this stage, which those of a chain extend: the canvases, then DB's own parameters."""

    detection_call_pixels: int = between(20_000_000, 1 << 16, 1 << 31, runtime=True)  # canvas pixels of one call

    detection_first_side_px: int = between(1024, 64, 8192)
    detection_long_side_px: int = between(1280, 64, 8192)
    detection_small_text_px: int = between(16, 0, 1024)
    detection_short_side_px: int = between(736, 32, 4096)
    detection_canvas_step_px: int = between(32, 32, 1024)
    text_threshold: float = between(0.3, 0.0, 1.0)
    box_threshold: float = between(0.4, 0.0, 1.0)
    unclip_ratio: float = between(1.6, 0.0, 5.0)

    @property
    def first_side_px(self) -> int:
        """The long side of the first canvas, which is never above that of the closest."""
        return min(self.detection_first_side_px, self.detection_long_side_px)


@dataclass(frozen=True)
class _Canvases:
    """What the network sees of each view."""

    sizes_px: Tensor  # (P, 2) int64 on the host: width, height
    scales: Tensor  # (P, 2) float32, pixels of the view per canvas pixel
    page: Tensor  # (P,) int64, which view each shows
    to_image: Tensor  # (P, 3, 3) float32, canvas to image frame


class TextDetection:
    """DBNet over each view at a size that depends on that view alone, equal canvases together in one call.

    Most views are looked at once; those whose text turns out small once more, on larger canvases.

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
        long_sides_px = (self._settings.first_side_px, self._settings.detection_long_side_px)
        first, closest = (canvas_sizes(pages.sizes_px, self._settings, side_px) for side_px in long_sides_px)
        lines = self._look(pages, first)
        numbers = self._to_be_seen_closer(lines, pages, first, closest)
        if not len(numbers):
            return lines
        closer = self._look(pages.some(numbers, self._engine.to_device), closest[numbers])
        number = self._engine.to_device(numbers)
        others = torch.isin(lines.page, number, invert=True)
        return _by_page(
            [Lines(lines.quads_px[others], lines.page[others]), Lines(closer.quads_px, number[closer.page])]
        )

    def _to_be_seen_closer(self, lines: Lines, pages: Views, first: Tensor, closest: Tensor) -> Tensor:
        """The numbers of views whose text is small on their first canvases, (K,) int64 on the host."""
        larger = (closest > first).any(dim=1)
        if not larger.any():
            return larger.nonzero()[:, 0]
        scales = self._engine.to_device((first / pages.sizes_px).mean(dim=1))
        heights_px = geometry.quad_sizes(lines.quads_px).amin(dim=1) * scales[lines.page]
        small = (heights_px < self._settings.detection_small_text_px).float()
        surplus = torch.zeros_like(scales).index_add_(0, lines.page, small - _SMALL_SHARE)
        found = torch.zeros_like(scales).index_add_(0, lines.page, torch.ones_like(small))
        (asked,) = self._engine.to_host((surplus > 0) | (found == 0))
        return (larger & asked).nonzero()[:, 0]

    def _look(self, pages: Views, sizes_px: Tensor) -> Lines:
        """The lines of views on canvases of (P, 2) sizes."""
        canvases = self._canvases(pages, sizes_px)
        calls = self._engine.plan(sizes_px, self._call_pixels)
        # A CPU looks for lines in each map while a cache holds it; CUDA in all at once, since each search waits for it.
        pixels = [int(sizes_px[call].prod(dim=1).sum()) for call in calls]
        together = in_batches(pixels, self._map_pixels)
        return _by_page(self._engine.each(lambda some: self._find(pages, canvases, calls[some]), together))

    def _canvases(self, pages: Views, sizes: Tensor) -> _Canvases:
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


def _by_page(found: Sequence[Lines]) -> Lines:
    page = torch.cat([lines.page for lines in found])
    order = page.argsort(stable=True)
    return Lines(torch.cat([lines.quads_px for lines in found])[order], page[order])


def canvas_sizes(sizes_px: Tensor, settings: TextDetectionSettings, long_side_px: int) -> Tensor:
    """(P, 2) widths and heights of canvases: within the long side, if that allows not under the short, in steps."""
    sizes = sizes_px.double()
    grow = (settings.detection_short_side_px / sizes.amin(dim=1)).clamp(min=1)
    shrink = long_side_px / sizes.amax(dim=1)
    step = settings.detection_canvas_step_px
    steps = (sizes * torch.minimum(grow, shrink)[:, None] / step).round().clamp(min=1)
    return (steps * step).long()


def all_canvas_sizes(settings: TextDetectionSettings) -> list[tuple[int, int]]:
    """Every width and height that a canvas can have, the most usual first."""
    sides_px = (settings.first_side_px, settings.detection_long_side_px)
    return list(dict.fromkeys(size for long_side_px in sides_px for size in _all_within(long_side_px, settings)))


def _all_within(full_px: int, settings: TextDetectionSettings) -> list[tuple[int, int]]:
    """Those of one long side.

    Pages with a side of the full length or more come to that, most of them in the proportions of paper.
    """
    step = settings.detection_canvas_step_px
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
