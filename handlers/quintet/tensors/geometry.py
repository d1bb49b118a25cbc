"""Pure tensor transforms between frames. Frames, shapes and the pixel convention are in `records`."""

import torch
from torch import Tensor


def scaling(scales: Tensor, offsets: Tensor | None = None) -> Tensor:
    """Homographies that multiply x and y by (N, 2) factors and then add (N, 2) offsets: (N, 3, 3)."""
    matrices = torch.diag_embed(torch.cat([scales, torch.ones_like(scales[:, :1])], dim=1))
    if offsets is not None:
        matrices[:, :2, 2] = offsets
    return matrices


def upright_to_image(quarter_turns: Tensor, sizes_px: Tensor) -> Tensor:
    """Where a point of the upright page lies in the image whose content is turned clockwise: (P, 3, 3) float32.

    Args:
        quarter_turns: (P,) int64, clockwise turns of 90 degrees that the content shows in the image.
        sizes_px: (P, 2) float32, width and height of the image.
    """
    # One clockwise turn takes the upright point (x, y) to (W - y, x), W being the image's width; and so on.
    # Computed, not looked up: a table would be copied to the device at each call, and the host would wait for that.
    once, twice, thrice = ((quarter_turns == turns).to(sizes_px.dtype) for turns in (1, 2, 3))
    cos, sin = 1 - once - 2 * twice - thrice, once - thrice
    matrices = torch.zeros(len(quarter_turns), 3, 3, dtype=sizes_px.dtype, device=sizes_px.device)
    matrices[:, 0, 0] = matrices[:, 1, 1] = cos
    matrices[:, 0, 1], matrices[:, 1, 0] = -sin, sin
    matrices[:, 0, 2] = (once + twice) * sizes_px[:, 0]
    matrices[:, 1, 2] = (twice + thrice) * sizes_px[:, 1]
    matrices[:, 2, 2] = 1
    return matrices


def rectangle_to_quad(quads: Tensor, sizes_px: Tensor) -> Tensor:
    """Homographies from rectangles with a corner at the origin to quads: (N, 3, 3) float32, finite in any case.

    Source: P. Heckbert, Fundamentals of Texture Mapping and Image Warping (1989), section 2.2.3.

    Args:
        quads: (N, 4, 2) float32 corners; the rectangle's (0, 0), (w, 0), (w, h), (0, h) map to them in this order.
        sizes_px: (N, 2) float32 width and height of the rectangles, positive.
    """
    first, second, third, fourth = quads.unbind(1)
    d1, d2, d3 = second - third, fourth - third, first - second + third - fourth
    determinant = _cross(d1, d2)
    safe = torch.where(determinant.abs() < 1e-9, torch.ones_like(determinant), determinant)
    g, h = _cross(d3, d2) / safe, _cross(d1, d3) / safe
    x_column = second - first + g[:, None] * second
    y_column = fourth - first + h[:, None] * fourth
    top = torch.stack([x_column, y_column, first], dim=2)
    bottom = torch.stack([g, h, torch.ones_like(g)], dim=1)[:, None]
    return torch.cat([top, bottom], dim=1) @ scaling(1 / sizes_px)


def map_points(matrices: Tensor, points: Tensor) -> Tensor:
    """(N, K, 2) points moved by one homography an item, (N, 3, 3)."""
    moved = points @ matrices[:, :, :2].transpose(1, 2) + matrices[:, None, :, 2]
    return moved[..., :2] / moved[..., 2:]


def quad_sizes(quads: Tensor) -> Tensor:
    """Width and height of quads: the longer of each pair of opposite edges, (N, 4, 2) to (N, 2)."""
    edges = (quads - quads.roll(-1, dims=1)).norm(dim=2)
    return torch.stack([edges[:, 0::2].amax(dim=1), edges[:, 1::2].amax(dim=1)], dim=1)


def bounding_boxes(quads: Tensor) -> Tensor:
    """Smallest upright boxes (x0, y0, x1, y1) around quads, (N, 4, 2) to (N, 4)."""
    return torch.cat([quads.amin(dim=1), quads.amax(dim=1)], dim=1)


def box_corners(boxes: Tensor) -> Tensor:
    """The four corners of boxes (x0, y0, x1, y1), clockwise from the top left, (N, 4) to (N, 4, 2)."""
    left, top, right, bottom = boxes.unbind(1)  # an index of several columns would be copied to the device
    return torch.stack([left, top, right, top, right, bottom, left, bottom], dim=1).view(-1, 4, 2)


def _cross(first: Tensor, second: Tensor) -> Tensor:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
