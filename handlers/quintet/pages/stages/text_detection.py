"""Text detection: the quads of the lines on each upright page."""

import torch
from torch import Tensor

from quintet.engine.calls import in_batches, plan_calls
from quintet.engine.engine import Engine
from quintet.pages.budgets import Budgets
from quintet.pages.pixels import geometry
from quintet.pages.pixels.sampling import HALF, sample
from quintet.pages.postprocess import quads
from quintet.pages.records import Lines, Raster, UprightPages
from quintet.pages.settings import Settings


class TextDetection:
    """DBNet over each page at a size that depends on that page alone, equal canvases together in one call.

    Source: M. Liao et al., Real-time Scene Text Detection with Differentiable Binarization (AAAI 2020).
    """

    def __init__(self, engine: Engine, settings: Settings, budgets: Budgets) -> None:
        self._engine = engine
        self._network = engine.network("text_detection")
        self._settings = settings
        self._budgets = budgets

    def __call__(self, pages: UprightPages) -> Lines:
        """Find the lines of each page."""
        canvases = canvas_sizes(pages.sizes_px, self._settings)
        calls = plan_calls(canvases, self._budgets.detection_pixels)
        # A CPU looks for lines in each map while a cache holds it; CUDA in all at once, since each search waits for it.
        pixels = [int(canvases[call].prod(dim=1).sum()) for call in calls]
        together = in_batches(pixels, self._budgets.map_pixels)
        found = self._engine.each(lambda some: self._find(pages, canvases, calls[some]), together)
        page = torch.cat([lines.page for lines in found])
        by_page = page.argsort(stable=True)
        return Lines(torch.cat([lines.quads_px for lines in found])[by_page], page[by_page])

    def _prepare(self, pages: UprightPages, canvases: Tensor, call: Tensor) -> Tensor:
        """The pages of one call on their common canvas, (n, 3, H, W)."""
        scales = self._engine.to_device(pages.sizes_px[call] / canvases[call])
        page = self._engine.to_device(call)
        to_image = pages.to_image[page] @ geometry.scaling(scales)
        width, height = canvases[call[0]].tolist()
        return sample(pages.pixels, page, to_image, (width, height), HALF, dtype=self._engine.dtype)

    def _find(self, pages: UprightPages, canvases: Tensor, calls: list[Tensor]) -> Lines:
        """The lines of some calls; their maps laid end to end become quads at once, whatever their sizes."""
        maps = [self._network(self._prepare(pages, canvases, call))[0] for call in calls]
        order = torch.cat(calls)
        values = torch.cat([one.reshape(-1) for one in maps])
        probabilities = Raster.end_to_end(values, canvases[order], self._engine.to_device)
        found = quads.text_quads(
            probabilities,
            threshold=self._settings.text_threshold,
            box_threshold=self._settings.box_threshold,
            unclip_ratio=self._settings.unclip_ratio,
        )
        page = self._engine.to_device(order)[found.page]
        sizes = self._engine.to_device(pages.sizes_px.float())
        scales = self._engine.to_device(pages.sizes_px / canvases)
        quads_px = found.quads_px * scales[page, None]
        return Lines(quads_px.clamp_(min=0).minimum(sizes[page, None]), page)


def canvas_sizes(sizes_px: Tensor, settings: Settings) -> Tensor:
    """(P, 2) widths and heights of canvases: within the long side, if that allows not under the short, in steps."""
    sizes = sizes_px.double()
    grow = (settings.detection_short_side_px / sizes.amin(dim=1)).clamp(min=1)
    shrink = settings.detection_long_side_px / sizes.amax(dim=1)
    step = settings.detection_canvas_step_px
    steps = (sizes * torch.minimum(grow, shrink)[:, None] / step).round().clamp(min=1)
    return (steps * step).long()
