"""Operations that take several of a network's steps in one pass over memory, and what has no operation of its own.

On CUDA eager PyTorch writes a convolution's output, reads and writes it again to add the bias, and once more for the
activation. cuBLAS adds a bias, and takes ReLU, before it writes; so does cuDNN where it is asked for both.
"""

from contextlib import suppress

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name for it)
from torch import Tensor


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A 1x1 convolution as a product of matrices, its bias added within: weight (O, I), bias (O,)."""
    pixels = _pixels(x)
    made = torch.mm(pixels, weight.t()) if bias is None else torch.addmm(bias, pixels, weight.t())
    return _as_map(made, x)


def pointwise_relu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same with ReLU, in the same kernel. PyTorch's GELU there is the tanh form, which is another function."""
    return _as_map(torch._addmm_activation(bias, _pixels(x), weight.t()), x)


def add_pointwise_(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Add a 1x1 convolution of y to x, in x's own memory where that has its channels last."""
    return _as_map(_pixels(x).addmm_(_pixels(y), weight.t()), x)


def conv2d_relu(
    x: Tensor, weight: Tensor, bias: Tensor, *, stride: list[int], padding: list[int], dilation: list[int], groups: int
) -> Tensor:
    """A convolution with bias and ReLU: one kernel on CUDA."""
    if x.is_cuda:
        with suppress(RuntimeError):  # cuDNN has no such kernel for these sizes
            return torch.cudnn_convolution_relu(x, weight, bias, stride, padding, dilation, groups)
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups).relu_()


def scale_shifted(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """(x + shift) · scale in one pass over x: x (N, C, H, W), scale (N, C, 1, 1), shift (C,)."""
    return torch.addcmul(scale * shift[:, None, None], x, scale)


def add_upsampled(x: Tensor, y: Tensor, factor: int) -> Tensor:
    """Sum of x and of y made larger by a whole factor, the nearest pixel taken, without writing that."""
    count, channels, height, width = y.shape
    blocks = x.reshape(count, channels, height, factor, width, factor)
    return (blocks + y[:, :, :, None, :, None]).reshape(x.shape)


def largest_ahead_beside(x: Tensor, y: Tensor) -> Tensor:
    """The largest of each pixel of x, its right and its lower neighbours, and behind it the channels of y.

    PyTorch's pooling on CUDA writes 8 bytes of indices a value: there a maximum over views of windows is taken, into
    what is returned.
    """
    if not x.is_cuda:
        return torch.cat([F.max_pool2d(x, 2, stride=1, padding=1)[:, :, 1:, 1:], y], 1)
    return _largest_by_windows(x, y)


def _largest_by_windows(x: Tensor, y: Tensor) -> Tensor:
    count, channels, height, width = x.shape
    shape = (count, channels + y.size(1), height, width)
    made = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    largest, right, lowest = made[:, :channels], x[:, :, :, -1:], x[:, :, -1:]
    torch.amax(x.unfold(2, 2, 1).unfold(3, 2, 1), (4, 5), out=largest[:, :, :-1, :-1])
    torch.amax(right.unfold(2, 2, 1), 4, out=largest[:, :, :-1, -1:])
    torch.amax(lowest.unfold(3, 2, 1), 4, out=largest[:, :, -1:, :-1])
    largest[:, :, -1:, -1:] = x[:, :, -1:, -1:]
    made[:, channels:] = y
    return made


def _pixels(x: Tensor) -> Tensor:
    """A map's pixels, (N · H · W, C): a view of one with channels last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.size(1))


def _as_map(pixels: Tensor, like: Tensor) -> Tensor:
    """Pixels as a map, channels last in memory, of the size of another."""
    return pixels.view(like.size(0), like.size(2), like.size(3), pixels.size(1)).permute(0, 3, 1, 2)
