"""Nudity: how likely each photo is not safe for work."""

import torch
from torch import Tensor

from quintet.engine.engine import Engine
from quintet.photos.budgets import Budgets
from quintet.photos.records import Photos
from quintet.tensors.areas import area_means
from quintet.tensors.sampling import Normalisation

SIDE_PX, CROP_PX = 256, 224
# Means of the VGG networks' training set; values stay in 0 to 255.
MEANS = Normalisation((104 / 255, 117 / 255, 123 / 255), (1 / 255, 1 / 255, 1 / 255))


class Nudity:
    """Yahoo's open_nsfw over the centre of each photo, stretched to 256 x 256.

    Source: J. Mahadeokar, G. Pesavento, Open Sourcing a Deep Learning Solution for Detecting NSFW Images (2016). The
    weights' package also writes each photo as a JPEG and reads it again, which is left out here: scores of photos move
    by up to 0.02 for that, of drawings by up to 0.12.
    """

    def __init__(self, engine: Engine, budgets: Budgets) -> None:
        self._engine = engine
        self._budgets = budgets
        self._network = engine.in_few_shapes(engine.network("nudity"), {(CROP_PX, CROP_PX, 3): budgets.photos})

    def __call__(self, photos: Photos) -> Tensor:
        """The probability of each photo: (P,) float32."""
        calls = self._engine.plan(torch.ones_like(photos.sizes_px), self._budgets.photos)
        probabilities = self._engine.each(lambda call: self._network(self._prepare(photos, call))[0], calls)
        return torch.cat(probabilities)[:, 1].float()

    def _prepare(self, photos: Photos, call: Tensor) -> Tensor:
        """The photos of one call: (n, 224, 224, 3), as the network has it."""
        page = self._engine.to_device(call)
        whole = self._engine.to_device(torch.cat([torch.zeros_like(photos.sizes_px), photos.sizes_px], dim=1)[call])
        stretched = area_means(photos.sums, page, whole, (SIDE_PX, SIDE_PX), MEANS, dtype=self._engine.dtype)
        centre = slice((SIDE_PX - CROP_PX) // 2, (SIDE_PX + CROP_PX) // 2)
        return stretched[:, :, centre, centre].permute(0, 2, 3, 1)
