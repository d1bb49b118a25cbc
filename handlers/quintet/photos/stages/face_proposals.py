"""Face proposals: squares of all sizes in each photo that may hold a face."""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from quintet.engine.calls import full_call, in_batches
from quintet.engine.engine import Engine
from quintet.photos.budgets import Budgets
from quintet.photos.records import Candidates, Photos
from quintet.photos.settings import PhotoSettings
from quintet.photos.stages.face_boxes import SIGNED, moved, squared
from quintet.tensors.areas import area_means
from quintet.tensors.boxes import best_of_each, nms
from quintet.tensors.sampling import in_eighths

# What one cell of the network's maps looks at, how far the next one is, and how much more a canvas is than its cells.
FIELD_PX, STRIDE_PX, MARGIN_CELLS = 12, 2, 5
LEVEL_IOU, PHOTO_IOU = 0.5, 0.7
# Tiles of 512 x 512 pixels, so that a call takes as much memory for the largest photo as for others.
MOST_CELLS = 251
CANVAS_STEP_PX = 8
# Of canvases where few shapes count for more than pixels: what is beyond a tile is cut off.
FEW_SIDES_PX = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


@dataclass(frozen=True)
class Levels:
    """Levels of the pyramids of some photos, on the host."""

    page: Tensor  # (K,) int64
    scales: Tensor  # (K,) float64, pixels of the level per pixel of the photo
    sizes_px: Tensor  # (K, 2) int64


@dataclass(frozen=True)
class Tiles:
    """What the network looks at of levels, on the host; all their cells, each once."""

    level: Tensor  # (T,) int64
    begins: Tensor  # (T, 2) int64, the first cell across and down in the level
    counts: Tensor  # (T, 2) int64, how many cells
    canvases_px: Tensor  # (T, 2) int64, the size of the network's input


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
        sides = itertools.product(reversed(FEW_SIDES_PX), repeat=2)
        full = {(3, height, width): full_call(width * height, budgets.pyramid_pixels) for width, height in sides}
        self._network = engine.in_few_shapes(engine.network("face_proposals"), full, captured=False)

    def __call__(self, photos: Photos) -> Candidates:
        """Find the candidates of each photo. Five data-dependent sizes for all photos that are searched together."""
        searches = in_batches(photos.sizes_px.prod(dim=1).tolist(), self._budgets.search_pixels)
        page = torch.arange(len(photos.sizes_px))
        found = self._engine.each(lambda some: self._search(photos, page[some]), searches)
        return Candidates(torch.cat([some.boxes for some in found]), torch.cat([some.page for some in found]))

    def _search(self, photos: Photos, page: Tensor) -> Candidates:
        """Find the candidates of some photos."""
        levels = pyramid(page, photos.sizes_px[page], self._settings)
        tiles = tiles_of(levels, few_canvases=self._engine.fills_calls)
        calls = self._engine.plan(tiles.canvases_px, self._budgets.pyramid_pixels)
        looks = [self._look(photos, levels, tiles, call) for call in calls]
        order = torch.cat([tiles.level[:0], *calls])
        likely = self._decode(levels, tiles, order, looks)
        return self._suppress(likely, self._engine.to_device(levels.page))

    def _prepare(self, photos: Photos, levels: Levels, tiles: Tiles, call: Tensor) -> Tensor:
        """The tiles of one call on their common canvas, (n, 3, H, W)."""
        level = tiles.level[call]
        page = levels.page[level]
        whole = torch.cat([torch.zeros_like(photos.sizes_px), photos.sizes_px], dim=1)[page]
        host = (page, whole, levels.sizes_px[level], tiles.begins[call] * STRIDE_PX)
        page, whole, sizes, begins = map(self._engine.to_device, host)
        size_px, dtype = tuple(tiles.canvases_px[call[0]].tolist()), self._engine.dtype
        return area_means(photos.sums, page, whole, size_px, SIGNED, sizes_px=sizes, begins_px=begins, dtype=dtype)

    def _look(self, photos: Photos, levels: Levels, tiles: Tiles, call: Tensor) -> tuple[Tensor, Tensor]:
        """The network over one call: scores (n, h, w), 0 for cells of no tile, and offsets (n, 4, h, w)."""
        scores, offsets = self._network(self._prepare(photos, levels, tiles, call))
        counts = self._engine.to_device(tiles.counts[call])[:, :, None, None]
        down, across = (torch.arange(count, device=scores.device) for count in scores.shape[1:])
        return scores * ((down[:, None] < counts[:, 1]) & (across < counts[:, 0])), offsets

    def _decode(self, levels: Levels, tiles: Tiles, order: Tensor, looks: list[tuple[Tensor, Tensor]]) -> _Likely:
        """The boxes of all likely cells of all tiles, these in the order of the calls."""
        to_device = self._engine.to_device
        empty = to_device(torch.empty(0))
        flat = torch.cat([empty, *(scores.flatten() for scores, _ in looks)]).float()
        offsets = torch.cat([empty.view(0, 4), *(offsets.movedim(1, 3).reshape(-1, 4) for _, offsets in looks)]).float()
        cell = (flat >= self._settings.proposal_score).nonzero().squeeze(1)
        maps = tiles.canvases_px[order] // STRIDE_PX - MARGIN_CELLS
        ends = maps.prod(dim=1).cumsum(0)
        tile = torch.searchsorted(to_device(ends), cell, right=True)
        within = cell - to_device(ends - maps.prod(dim=1))[tile]
        widths, begins, level = map(to_device, (maps[:, 0], tiles.begins[order], tiles.level[order]))
        place = begins[tile] + torch.stack([within % widths[tile], within // widths[tile]], dim=1)
        first = place * STRIDE_PX + 1
        scales = to_device(levels.scales.float())[level[tile], None]
        boxes = (torch.cat([first, first + FIELD_PX - 1], dim=1) / scales).floor()
        return _Likely(boxes, flat[cell], offsets[cell], level[tile])

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
    return Levels(page[photo], level_scales, level_sizes)


def tiles_of(levels: Levels, *, few_canvases: bool = False) -> Tiles:
    """Levels cut into equal tiles of at most `MOST_CELLS` cells across and down; most are one tile.

    With `few_canvases` their sides are `FEW_SIDES_PX`, else at most an eighth longer than needed.
    """
    cells = (levels.sizes_px - 1) // STRIDE_PX - MARGIN_CELLS + 1
    across = (cells + MOST_CELLS - 1) // MOST_CELLS
    steps = (cells + across - 1) // across
    many = across.prod(dim=1)
    level = torch.arange(len(many)).repeat_interleave(many)
    number = torch.arange(len(level)) - (many.cumsum(0) - many)[level]
    row_of = across[level, 0]
    begins = torch.stack([number % row_of, number // row_of], dim=1) * steps[level]
    counts = torch.minimum(steps[level], cells[level] - begins)
    needed_px, few_px = (counts + MARGIN_CELLS) * STRIDE_PX, torch.tensor(FEW_SIDES_PX)
    canvases_px = (
        few_px[torch.searchsorted(few_px, needed_px)] if few_canvases else in_eighths(needed_px, CANVAS_STEP_PX)
    )
    return Tiles(level, begins, counts, canvases_px)
