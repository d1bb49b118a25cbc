"""Page orientation: which quarter turn the content of each page shows."""

from collections.abc import Callable

import torch
from torch import Tensor

from quintet.engine.engine import Engine
from quintet.pages.budgets import Budgets
from quintet.pages.records import UprightPages
from quintet.tensors import geometry
from quintet.tensors.records import Images
from quintet.tensors.sampling import IMAGENET, sample

SHORT_SIDE_PX = 256
CROP_PX = 224


def as_they_are(pages: Images) -> UprightPages:
    """Pages whose orientation nobody looks at: taken to be upright, with a score of 0."""
    views = pages.as_they_are()
    probabilities = views.to_image.new_zeros(len(pages.sizes_px), 4)
    return UprightPages(views.pixels, views.sizes_px, views.to_image, probabilities[:, 0].long(), probabilities)


def turned_back(
    pages: Images, quarter_turns: Tensor, probabilities: Tensor, to_device: Callable[[Tensor], Tensor]
) -> UprightPages:
    """Pages whose turns are known: (P,) int64 on the host, with (P, 4) probabilities on the device."""
    sizes = pages.sizes_px
    lying = (quarter_turns % 2 == 1)[:, None]
    turns = to_device(quarter_turns)
    to_image = geometry.upright_to_image(turns, to_device(sizes.float()))
    return UprightPages(pages.pixels, sizes.flip(1).where(lying, sizes), to_image, turns, probabilities)


class PageOrientation:
    """PP-LCNet over the centre of each page, its short side scaled to 256 pixels.

    The page is never stretched: 120 of 120 turned receipts are right like this, and 97.5 % when stretched.
    """

    def __init__(self, engine: Engine, budgets: Budgets) -> None:
        self._engine = engine
        self._budgets = budgets
        shape = (3, CROP_PX, CROP_PX)
        self._network = engine.in_few_shapes(engine.network("page_orientation"), {shape: budgets.pages})

    def __call__(self, pages: Images) -> UprightPages:
        """Recognise the turn of each page and undo it."""
        calls = self._engine.plan(torch.ones_like(pages.sizes_px), self._budgets.pages)
        to_image = self._crops_to_images(pages.sizes_px)
        page = torch.arange(len(to_image), device=to_image.device)
        probabilities = self._engine.each(
            lambda call: self._network(self._prepare(pages, page, to_image, call))[0],
            self._engine.calls_to_device(calls),
        )
        return self._decode(pages, torch.cat(probabilities).float())

    def _prepare(self, pages: Images, page: Tensor, to_image: Tensor, call: Tensor) -> Tensor:
        """The centre crops of one call, (n, 3, 224, 224)."""
        size_px, dtype = (CROP_PX, CROP_PX), self._engine.dtype
        return sample(pages.pixels, page, to_image, size_px, IMAGENET, items=call, dtype=dtype)

    def _crops_to_images(self, sizes_px: Tensor) -> Tensor:
        """From the centre crops of images of (P, 2) sizes to these, (P, 3, 3)."""
        sizes = self._engine.to_device(sizes_px.float())
        pixels_per_cell = sizes.amin(dim=1, keepdim=True) / SHORT_SIDE_PX
        corner = (sizes - CROP_PX * pixels_per_cell) / 2
        return geometry.scaling(pixels_per_cell.expand(-1, 2), corner)

    def _decode(self, pages: Images, probabilities: Tensor) -> UprightPages:
        """The likeliest class is the clockwise turn already present, in quarters; the host plans canvases by it."""
        (quarter_turns,) = self._engine.to_host(probabilities.argmax(dim=1))
        return turned_back(pages, quarter_turns, probabilities, self._engine.to_device)
