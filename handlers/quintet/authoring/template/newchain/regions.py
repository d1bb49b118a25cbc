"""Regions of all images of a batch, and how a network looks at them. The shapes' legend: `quintet.tensors.records`."""

from dataclasses import dataclass

import torch
from quintet.engine.calls import full_call
from quintet.engine.engine import Engine
from quintet.tensors.geometry import box_corners
from quintet.tensors.levels import crop
from quintet.tensors.records import Views
from quintet.tensors.sampling import Normalisation
from torch import Tensor

# ImageNet's, as torchvision trains, in the order of the crops, BGR.
NORMALISATION = Normalisation((0.406, 0.456, 0.485), (0.225, 0.224, 0.229))
# A CPU takes one call a core, each as large as a core's cache holds.
CPU_CALL_PIXELS = 100_000


@dataclass(frozen=True)
class Regions:
    """Boxes of all images."""

    boxes_px: Tensor  # (N, 4) float32, x0, y0, x1, y1 in the image frame
    image: Tensor  # (N,) int64, ascending, whose each is


@dataclass(frozen=True)
class Objects(Regions):
    """What was detected."""

    labels: Tensor  # (N,) int64, index into OBJECTS
    scores: Tensor  # (N,) float32


class RegionNetwork:
    """One network over regions of all images together, each stretched to its canvas.

    Regions are cut into calls of few sizes that stay within a budget: engines prepare for each shape anew.
    """

    def __init__(self, engine: Engine, name: str, size_px: tuple[int, int], call_pixels: int) -> None:
        """Take a network of the engine, and have it run once on every thread.

        Args:
            engine: where it runs.
            name: of the network.
            size_px: width and height of its canvas.
            call_pixels: canvas pixels of one call.
        """
        width, height = size_px
        self._engine, self._size_px = engine, size_px
        self._call_pixels = min(call_pixels, CPU_CALL_PIXELS) if engine.device.type == "cpu" else call_pixels
        network = engine.network(name)
        full = {(3, height, width): full_call(width * height, self._call_pixels)}
        self._network = engine.in_few_shapes(network, full)
        blank = torch.zeros(1, 3, height, width, dtype=engine.dtype, device=engine.device)
        with torch.inference_mode():
            first, *_ = engine.each(network, [blank] * engine.threads)
        self._nothing = [output[:0].float() for output in first]

    def __call__(self, images: Views, regions: Regions) -> list[Tensor]:
        """The network's outputs in float32, one row a region. No sync."""
        costs = torch.full((len(regions.image), 1), self._size_px[0] * self._size_px[1])
        calls = self._engine.plan(costs, self._call_pixels, few_sizes=True)
        outputs = self._engine.each(lambda call: self._network(self._prepare(images, regions, call)), calls)
        return [torch.cat([part.float() for part in parts]) for parts in zip(self._nothing, *outputs, strict=True)]

    def _prepare(self, images: Views, regions: Regions, call: Tensor) -> Tensor:
        """The regions of one call on the canvas: (n, 3, H, W) in RGB."""
        region = self._engine.to_device(call)
        quads_px = box_corners(regions.boxes_px[region])
        dtype = self._engine.dtype
        return crop(images, quads_px, regions.image[region], self._size_px, NORMALISATION, dtype).flip(1)


def whole(images: Views, engine: Engine) -> Regions:
    """Each image as one region."""
    sizes = engine.to_device(images.sizes_px.float())
    return Regions(torch.cat([torch.zeros_like(sizes), sizes], dim=1), torch.arange(len(sizes), device=sizes.device))
