"""Face proposals: squares of all sizes in each photo that may hold a face."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from quintet.engine.calls import in_batches, plan_calls
from quintet.engine.engine import Engine
from quintet.photos.budgets import Budgets
from quintet.photos.records import Candidates, Photos
from quintet.photos.settings import PhotoSettings
from quintet.photos.stages.face_boxes import SIGNED, moved, squared
from quintet.tensors.areas import area_means, in_eighths
from quintet.tensors.boxes import best_of_each, nms

# What one cell of the network's maps looks at, and how far the next one is.
FIELD_PX, STRIDE_PX = 12, 2
LEVEL_IOU, PHOTO_IOU = 0.5, 0.7
CANVAS_STEP_PX = 8


@dataclass(frozen=True)
class Levels:
    """Levels of the pyramids of some photos, on the host."""

    page: Tensor  # (K,) int64
    scales: Tensor  # (K,) float64, pixels of the level per pixel of the photo
    sizes_px: Tensor  # (K, 2) int64
    canvases_px: Tensor  # (K, 2) int64, the size of the network's input


@dataclass(frozen=True)
class _Likely:
    """Cells of all levels whose score is high enough."""

    boxes: Tensor  # (C, 4) float32, as MTCNN counts
    scores: Tensor  # (C,) float32
    offsets: Tensor  # (C, 4) float32
    level: Tensor  # (C,) int64


class FaceProposals:
    """P-Net of MTCNN over a pyramid of each photo, levels of all photos on canvases of few sizes."""

    def __init__(self, engine: Engine, settings: PhotoSettings, budgets: Budgets) -> None:
        self._engine = engine
        self._settings = settings
        self._budgets = budgets
        self._network = engine.network("face_proposals")

    def __call__(self, photos: Photos) -> Candidates:
        """Find the candidates of each photo. Five data-dependent sizes for all photos that are searched together."""
        searches = in_batches(photos.sizes_px.prod(dim=1).tolist(), self._budgets.search_pixels)
        page = torch.arange(len(photos.sizes_px))
        found = self._engine.each(lambda some: self._search(photos, page[some]), searches)
        return Candidates(torch.cat([some.boxes for some in found]), torch.cat([some.page for some in found]))

    def _search(self, photos: Photos, page: Tensor) -> Candidates:
        """Find the candidates of some photos."""
        levels = pyramid(page, photos.sizes_px[page], self._settings)
        calls = plan_calls(levels.canvases_px, self._budgets.pyramid_pixels)
        looks = [self._look(photos, levels, call) for call in calls]
        order = torch.cat([levels.page[:0], *calls])
        likely = self._decode(levels, order, looks)
        return self._suppress(likely, self._engine.to_device(levels.page[order]))

    def _prepare(self, photos: Photos, levels: Levels, call: Tensor) -> Tensor:
        """The levels of one call on their common canvas, (n, 3, H, W)."""
        page = levels.page[call]
        whole = torch.cat([torch.zeros_like(photos.sizes_px), photos.sizes_px], dim=1)[page]
        page, whole, sizes = map(self._engine.to_device, (page, whole, levels.sizes_px[call]))
        width, height = levels.canvases_px[call[0]].tolist()
        return area_means(photos.sums, page, whole, (width, height), SIGNED, sizes_px=sizes, dtype=self._engine.dtype)

    def _look(self, photos: Photos, levels: Levels, call: Tensor) -> tuple[Tensor, Tensor]:
        """The network over one call: scores (n, h, w), 0 for cells outside their level, and offsets (n, 4, h, w)."""
        scores, offsets = self._network(self._prepare(photos, levels, call))
        cells = self._engine.to_device(cells_of(levels.sizes_px[call]))[:, :, None, None]
        down, across = (torch.arange(count, device=scores.device) for count in scores.shape[1:])
        return scores * ((down[:, None] < cells[:, 1]) & (across < cells[:, 0])), offsets

    def _decode(self, levels: Levels, order: Tensor, looks: list[tuple[Tensor, Tensor]]) -> _Likely:
        """The boxes of all likely cells of all levels, these in the order of the calls."""
        to_device = self._engine.to_device
        empty = to_device(torch.empty(0))
        flat = torch.cat([empty, *(scores.flatten() for scores, _ in looks)]).float()
        offsets = torch.cat([empty.view(0, 4), *(offsets.movedim(1, 3).reshape(-1, 4) for _, offsets in looks)]).float()
        cell = (flat >= self._settings.proposal_score).nonzero().squeeze(1)
        maps = cells_of(levels.canvases_px[order])
        counts = maps.prod(dim=1)
        ends, widths, begins = map(to_device, (counts.cumsum(0), maps[:, 0], counts.cumsum(0) - counts))
        level = torch.searchsorted(ends, cell, right=True)
        within = cell - begins[level]
        place = torch.stack([within % widths[level], within // widths[level]], dim=1) * STRIDE_PX + 1
        scales = to_device(levels.scales[order].float())
        boxes = (torch.cat([place, place + FIELD_PX - 1], dim=1) / scales[level, None]).floor()
        return _Likely(boxes, flat[cell], offsets[cell], level)

    def _suppress(self, likely: _Likely, page_of_level: Tensor) -> Candidates:
        """NMS within each level, then within each photo; then the offsets are applied."""
        most, scores, boxes = self._settings.max_candidates, likely.scores, likely.boxes
        page = page_of_level[likely.level]
        kept = torch.arange(len(scores), device=scores.device)
        for group, iou in ((likely.level, LEVEL_IOU), (page, PHOTO_IOU)):
            kept = kept[best_of_each(scores[kept], group[kept], most)]
            kept = kept[nms(boxes[kept], scores[kept], group[kept], iou)]
        kept = kept[page[kept].argsort(stable=True)]
        return Candidates(squared(moved(boxes[kept], likely.offsets[kept], extra_px=0)), page[kept])


def pyramid(page: Tensor, sizes_px: Tensor, settings: PhotoSettings) -> Levels:
    """The levels of photos with (n,) numbers and (n, 2) sizes: down to where the short side holds one cell.

    On the first one the smallest face fills a cell. Scales are multiplied up as the authors do, to the same last bit.
    """
    largest = FIELD_PX / settings.min_face_px
    short = sizes_px.amin(dim=1).double() * largest
    count = 1 + int(math.log(max(1.0, float(short.amax()) / FIELD_PX)) / -math.log(settings.pyramid_factor)) + 1
    factors = torch.full((count,), settings.pyramid_factor, dtype=torch.float64)
    scales, shorts = (
        torch.cat([first[:, None], factors[1:].expand(len(first), -1)], dim=1).cumprod(dim=1)
        for first in (torch.full_like(short, largest), short)
    )
    photo, level = (shorts >= FIELD_PX).nonzero(as_tuple=True)
    level_scales = scales[photo, level]
    level_sizes = (sizes_px[photo] * level_scales[:, None] + 1).long()
    return Levels(page[photo], level_scales, level_sizes, in_eighths(level_sizes, CANVAS_STEP_PX))


def cells_of(sizes_px: Tensor) -> Tensor:
    """How many cells the network has across and down, (K, 2) widths and heights to (K, 2)."""
    return (sizes_px - 1) // STRIDE_PX - 4
