"""From images to their regions, from regions to crops, and back: a batch has one list of regions, not one an image.

A region belongs to the image whose number it carries, (N,) int64 and ascending wherever regions come out of a stage.
So what is known of an image is known of its regions by an index, ``scores[image]``, and what is known of regions goes
back to their images as `slices`; `boxes` chooses among regions. Nothing here loops over images or regions.

Shapes: P images, N regions (legend in `records`).
"""

from itertools import pairwise

import torch
from torch import Tensor

from quintet.tensors import geometry
from quintet.tensors.records import Views
from quintet.tensors.sampling import Normalisation, sample


def crop(
    views: Views,
    quads_px: Tensor,
    image: Tensor,
    size_px: tuple[int, int],
    normalisation: Normalisation,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Regions at one size, (N, 3, H, W) in BGR, in one bilinear step from the images: turned, stretched, rectified.

    Args:
        views: the images, in frames of their own.
        quads_px: (N, 4, 2) float32 in those frames; their first corner comes to the top left. `geometry.box_corners`
            makes them of boxes.
        image: (N,) int64, whose each region is.
        size_px: width and height of every crop.
        normalisation: what the network expects.
        dtype: of the result.
    """
    to_image = views.to_image[image] @ crop_frames(quads_px, size_px)
    return sample(views.pixels, image, to_image, size_px, normalisation, dtype=dtype)


def crop_frames(quads_px: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Homographies from crops of one width and height to the frame of their (N, 4, 2) quads: (N, 3, 3) float32.

    With `geometry.map_points` what is found in a crop goes back to where the region lies.
    """
    width, height = (torch.full_like(quads_px[:, 0, 0], side) for side in size_px)
    return geometry.rectangle_to_quad(quads_px, torch.stack([width, height], dim=1))


def slices(image: Tensor, images: int) -> list[slice]:
    """Where the regions of each of P images stand, from (N,) ascending int64 on the host; an image may have none."""
    cuts: list[int] = torch.searchsorted(image, torch.arange(images + 1)).tolist()
    return [slice(*ends) for ends in pairwise(cuts)]
