"""The three networks of MTCNN as PyTorch modules, for the weights that facenet-pytorch ships.

Source: K. Zhang et al., Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks (2016), with
the layer sizes of its authors' Caffe models. Names of layers are those of the stored weights. All take (N, 3, H, W) in
BGR; the weights are for RGB. Offsets are of left, top, right, bottom, in sizes of the box that was looked at.
"""

import torch
from torch import Tensor, nn


class ProposalNetwork(nn.Module):
    """P-Net: looks at each 12 x 12 pixels, every second one across and down. Width and height must be even."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N, h, w) and offsets (N, 4, h, w), for h = H / 2 - 5 and w = W / 2 - 5."""
        x = torch.max_pool2d(self.prelu1(self.conv1(images.flip(1))), 2, 2)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(dim=1)[:, 1], self.conv4_2(x)


class RefinementNetwork(nn.Module):
    """R-Net: looks at crops of 24 x 24 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N,) and offsets (N, 4)."""
        x = _halved(self.prelu1(self.conv1(crops.flip(1))), 3)
        x = _halved(self.prelu2(self.conv2(x)), 3)
        x = self.prelu4(self.dense4(_by_columns(self.prelu3(self.conv3(x)))))
        return self.dense5_1(x).softmax(dim=1)[:, 1], self.dense5_2(x)


class OutputNetwork(nn.Module):
    """O-Net: looks at crops of 48 x 48 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (N,), offsets (N, 4), and five points (N, 10), first all x, then all y, in sizes of the crop."""
        x = _halved(self.prelu1(self.conv1(crops.flip(1))), 3)
        x = _halved(self.prelu2(self.conv2(x)), 3)
        x = _halved(self.prelu3(self.conv3(x)), 2)
        x = self.prelu5(self.dense5(_by_columns(self.prelu4(self.conv4(x)))))
        return self.dense6_1(x).softmax(dim=1)[:, 1], self.dense6_2(x), self.dense6_3(x)


def _halved(x: Tensor, kernel: int) -> Tensor:
    # As Caffe pools: what is left over at the right and the bottom counts.
    return torch.max_pool2d(x, kernel, 2, ceil_mode=True)


def _by_columns(x: Tensor) -> Tensor:
    """The layout of the dense layers' weights, which came from MATLAB: (N, C, H, W) to (N, W·H·C)."""
    return x.permute(0, 3, 2, 1).flatten(1)
