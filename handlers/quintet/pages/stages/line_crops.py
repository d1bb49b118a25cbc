"""Crops of lines, as line orientation and recognition see them."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from quintet.tensors import geometry
from quintet.tensors.records import Views
from quintet.tensors.sampling import HALF, sample

HEIGHT_PX = 48


def upright_quads(quads_px: Tensor) -> Tensor:
    """Quads that stand (height at least 1.5 x width) laid down, as the models were trained: (L, 4, 2) to the same.

    Their text is taken to run upwards; line orientation finds the others.
    """
    sizes = geometry.quad_sizes(quads_px)
    standing = sizes[:, 1] >= 1.5 * sizes[:, 0]
    return torch.where(standing[:, None, None], quads_px.roll(-1, dims=1), quads_px)


def crop_widths(quads_px: Tensor, max_width_px: int) -> Tensor:
    """Widths of crops at the common height that keep the quads' proportions: (L, 4, 2) to (L,) int64, at least 1."""
    sizes = geometry.quad_sizes(quads_px)
    widths = (HEIGHT_PX * sizes[:, 0] / sizes[:, 1].clamp(min=1e-3)).ceil()
    return widths.clamp(1, max_width_px).long()


@dataclass(frozen=True)
class LineCrops:
    """How lines are seen: each rectified from its full-resolution page, filled up to a width of its own."""

    pages: Views
    page: Tensor  # (L,) int64
    widths_px: Tensor  # (L,) int64
    to_image: Tensor  # (L, 3, 3) float32, crop to image frame

    @classmethod
    def of(cls, pages: Views, quads_px: Tensor, page: Tensor, widths_px: Tensor) -> Self:
        """Crops of (L, 4, 2) quads, once for all calls."""
        content = torch.stack([widths_px, torch.full_like(widths_px, HEIGHT_PX)], dim=1)
        to_upright = geometry.rectangle_to_quad(quads_px, content.to(quads_px.dtype))
        return cls(pages, page, widths_px, pages.to_image[page] @ to_upright)

    def on_canvas(self, line: Tensor, canvas_px: int, dtype: torch.dtype) -> Tensor:
        """Some lines, (n,), in one bilinear step: (n, 3, 48, canvas_px), values -1 to 1, zero beyond their widths."""
        return sample(
            self.pages.pixels, self.page, self.to_image, (canvas_px, HEIGHT_PX), HALF,
            items=line, widths_px=self.widths_px, dtype=dtype,
        )  # fmt: skip
