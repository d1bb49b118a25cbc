"""Layout: regions of each page and what they are."""

import math

import torch
import torchvision
from torch import Tensor

from quintet.engine.engine import Engine
from quintet.pages.budgets import Budgets
from quintet.pages.records import Regions, UprightPages
from quintet.pages.settings import Settings
from quintet.tensors import geometry
from quintet.tensors.sampling import IMAGENET, sample

WIDTH_PX, HEIGHT_PX = 608, 800
STRIDES_PX = (8, 16, 32, 64)
LABELS = (
    "text", "title", "figure", "figure_caption", "table", "table_caption", "header", "footer", "reference", "equation",
)  # fmt: skip


class Layout:
    """PicoDet over each page stretched to 608 x 800.

    Source of the decoding: G. Yu et al., PP-PicoDet (2021), with generalised focal loss: a box side is the expectation
    of a distribution over 8 distances in units of the stride.
    """

    def __init__(self, engine: Engine, settings: Settings, budgets: Budgets) -> None:
        self._engine = engine
        self._settings = settings
        self._budgets = budgets
        self._network = engine.in_few_shapes(engine.network("layout"), {(3, HEIGHT_PX, WIDTH_PX): budgets.pages})
        self._centres, self._strides = _anchors(engine.device)

    def __call__(self, pages: UprightPages) -> Regions:
        """Find the regions of each page. Two data-dependent sizes: the candidates and what NMS keeps."""
        calls = self._engine.plan(torch.ones_like(pages.sizes_px), self._budgets.pages)
        scales = self._engine.to_device(pages.sizes_px / torch.tensor([WIDTH_PX, HEIGHT_PX]))
        to_image = pages.to_image @ geometry.scaling(scales)
        page = torch.arange(len(scales), device=scales.device)
        outputs = self._engine.each(
            lambda call: self._network(self._prepare(pages, page, to_image, call)),
            self._engine.calls_to_device(calls),
        )
        # Class probabilities of the four strides, then distances of the four strides.
        halves = (slice(0, 4), slice(4, 8))
        scores, distances = (torch.cat([torch.cat(out[half], dim=1) for out in outputs]) for half in halves)
        return self._decode(scores.float(), distances.float(), scales)

    def _prepare(self, pages: UprightPages, page: Tensor, to_image: Tensor, call: Tensor) -> Tensor:
        """The pages of one call stretched to the canvas, (n, 3, 800, 608)."""
        size_px, dtype = (WIDTH_PX, HEIGHT_PX), self._engine.dtype
        return sample(pages.pixels, page, to_image, size_px, IMAGENET, items=call, dtype=dtype)

    def _decode(self, scores: Tensor, distances: Tensor, scales: Tensor) -> Regions:
        """Boxes of the likely anchors, then NMS within each page and class.

        From scores (P, A, 10) of A anchors, distances (P, A, 32), logits of the distributions of the four sides, and
        upright pixels per canvas pixel (P, 2).
        """
        page, anchor, label = (scores > self._settings.region_score).nonzero(as_tuple=True)
        score = scores[page, anchor, label]
        boxes = self._boxes(distances[page, anchor], anchor)
        # Shifting each page and class to its own place lets one NMS treat all of them.
        place = (page * len(LABELS) + label) * (2 * HEIGHT_PX)
        kept = torchvision.ops.nms(boxes + place[:, None], score, self._settings.region_iou)
        kept = kept[page[kept].argsort(stable=True)]
        boxes_px = boxes[kept] * scales[page[kept]].repeat(1, 2)
        return Regions(boxes_px, label[kept], score[kept], page[kept])

    def _boxes(self, distances: Tensor, anchor: Tensor) -> Tensor:
        """Boxes on the canvas, (N, 32) logits to (N, 4), clipped to it."""
        bins = distances.view(-1, 4, 8)
        steps = torch.arange(8, device=bins.device, dtype=bins.dtype)
        sides = (bins.softmax(dim=2) * steps).sum(dim=2) * self._strides[anchor, None]
        centres = self._centres[anchor]
        boxes = torch.cat([centres - sides[:, :2], centres + sides[:, 2:]], dim=1)
        clipped: Tensor = torchvision.ops.clip_boxes_to_image(boxes, (HEIGHT_PX, WIDTH_PX))
        return clipped


def no_regions(pages: UprightPages) -> Regions:
    """What there is without layout."""
    boxes_px = pages.to_image.new_empty(0, 4)
    none = torch.empty(0, dtype=torch.int64, device=boxes_px.device)
    return Regions(boxes_px, none, boxes_px[:, 0], none)


def _anchors(device: torch.device) -> tuple[Tensor, Tensor]:
    """Centres (A, 2) and strides (A,) of all anchors, in the order of the network's outputs."""
    centres, strides = [], []
    for stride in STRIDES_PX:
        rows, columns = math.ceil(HEIGHT_PX / stride), math.ceil(WIDTH_PX / stride)
        centres.append((torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).flip(1) + 0.5) * stride)
        strides.append(torch.full((rows * columns,), float(stride)))
    return torch.cat(centres).to(device), torch.cat(strides).to(device)
