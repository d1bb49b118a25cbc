from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quintet.tensors import geometry

JITTER = st.tuples(st.floats(-0.25, 0.25), st.floats(-0.25, 0.25))


@pytest.mark.parametrize("turns", range(4))
def test_upright_points_land_where_rotating_the_pixels_puts_them(turns: int) -> None:
    upright = np.arange(5 * 7, dtype=np.int64).reshape(5, 7)
    image = np.rot90(upright, -turns)
    size = torch.tensor([[image.shape[1], image.shape[0]]], dtype=torch.float32)
    rows, columns = np.mgrid[0:5, 0:7]
    centres = torch.tensor(np.stack([columns, rows], axis=2).reshape(1, -1, 2) + 0.5, dtype=torch.float32)
    moved = geometry.map_points(geometry.upright_to_image(torch.tensor([turns]), size), centres)[0] - 0.5
    found = image[moved[:, 1].round().long().numpy(), moved[:, 0].round().long().numpy()]
    assert (found == upright.reshape(-1)).all()


@given(
    st.tuples(JITTER, JITTER, JITTER, JITTER),
    st.floats(0, 2 * np.pi),
    st.tuples(st.floats(20, 900), st.floats(20, 300)),
)
def test_rectangle_to_quad_equals_opencv(
    jitters: tuple[tuple[float, float], ...], angle: float, size_px: tuple[float, float]
) -> None:
    """Rectangles at any angle, each corner moved by up to a quarter of the shorter side: what cameras make of lines."""
    width, height = size_px
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) + np.array(jitters) * min(size_px)
    quad = (corners @ turn + 1000).astype(np.float32)
    rectangle = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    ours = geometry.rectangle_to_quad(torch.tensor(quad)[None], torch.tensor([[width, height]]))
    inside = torch.tensor(rectangle)[None] * torch.tensor([0.25, 0.75])
    theirs = cv2.perspectiveTransform(inside.numpy(), cv2.getPerspectiveTransform(rectangle, quad))
    np.testing.assert_allclose(geometry.map_points(ours, inside)[0].numpy(), theirs[0], atol=0.5)
    np.testing.assert_allclose(geometry.map_points(ours, torch.tensor(rectangle)[None])[0].numpy(), quad, atol=0.5)


def test_quad_sizes_are_the_longer_opposite_edges() -> None:
    quad = torch.tensor([[[0.0, 0.0], [30.0, 0.0], [40.0, 10.0], [0.0, 10.0]]])
    assert geometry.quad_sizes(quad).tolist() == [[40.0, pytest.approx(200**0.5)]]


def test_no_items_are_a_valid_batch() -> None:
    none = torch.empty(0, 4, 2)
    assert geometry.rectangle_to_quad(none, torch.empty(0, 2)).shape == (0, 3, 3)
    assert geometry.bounding_boxes(none).shape == (0, 4)
    assert geometry.box_corners(torch.empty(0, 4)).shape == (0, 4, 2)
