"""The five networks: torchvision's, each made by a function without arguments that `weights` names.

A network takes one tensor, (N, 3, H, W) in RGB with ImageNet's normalisation, and gives a tensor or a tuple of them,
the batch first. Its state dict is what a file of weights holds, so whoever trains it takes it from here.
"""

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor

SCENES = ("indoors", "street", "field", "forest", "water", "sky")
OBJECTS = ("animal", "person", "vehicle")
KINDS = ("bear", "bird", "cat", "cow", "dog", "elephant", "horse", "sheep")
KEYPOINTS = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")

# Widths and heights of what the networks see, in pixels.
SCENE_PX = (224, 224)
DETECTION_PX = (320, 320)
CROP_PX = (96, 96)

_DETECTION_GRIDS = (20, 10, 5, 3, 2, 1)


class Detector(nn.Module):
    """SSDLite without its post-processing: (N, A, 4) offsets from A anchors and (N, A, 1 + K) logits, none first."""

    def __init__(self) -> None:
        super().__init__()
        whole = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=1 + len(OBJECTS)
        )
        self.backbone, self.head = whole.backbone, whole.head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets and logits."""
        found = self.head(list(self.backbone(images).values()))
        return found["bbox_regression"], found["cls_logits"]


class Segmenter(nn.Module):
    """LR-ASPP without its last step, which only enlarges: (N, 2, H / 8, W / 8) logits of background and object."""

    def __init__(self) -> None:
        super().__init__()
        whole = torchvision.models.segmentation.lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=2
        )
        self.backbone, self.classifier = whole.backbone, whole.classifier

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.classifier(self.backbone(images))
        return logits


def scene() -> nn.Module:
    """(N, K) logits of scenes."""
    network: nn.Module = torchvision.models.mobilenet_v3_small(weights=None, num_classes=len(SCENES))
    return _settled(network, SCENE_PX)


def detection() -> nn.Module:
    """Offsets and logits of anchors."""
    return _settled(Detector(), DETECTION_PX)


def kind() -> nn.Module:
    """(N, K) logits of kinds."""
    network: nn.Module = torchvision.models.shufflenet_v2_x0_5(weights=None, num_classes=len(KINDS))
    return _settled(network, CROP_PX)


def mask() -> nn.Module:
    """Logits of background and object."""
    return _settled(Segmenter(), CROP_PX)


def keypoints() -> nn.Module:
    """(N, K, H / 4, W / 4) heat maps."""
    backbone = torchvision.models.mobilenet_v3_small(weights=None).features[:9]
    heads = KeypointRCNNHeads(48, (64, 64)), KeypointRCNNPredictor(64, len(KEYPOINTS))
    return _settled(nn.Sequential(backbone, *heads), CROP_PX)


def anchors() -> Tensor:
    """SSDLite's anchors, (A, 4) float32: x0, y0, x1, y1 in an image whose sides are 1."""
    generator = DefaultBoxGenerator([[2, 3] for _ in _DETECTION_GRIDS], min_ratio=0.2, max_ratio=0.95)
    maps = [torch.zeros(1, 1, side, side) for side in _DETECTION_GRIDS]
    width, height = DETECTION_PX
    boxes: Tensor = generator(ImageList(torch.zeros(1, 3, height, width), [(height, width)]), maps)[0]
    return boxes / torch.tensor([width, height, width, height])


def _settled(network: nn.Module, size_px: tuple[int, int]) -> nn.Module:
    """First weights that answer: batch norms take their statistics from noise, or signals would die on their way.

    A file of weights replaces all of it.
    """
    width, height = size_px
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(8, 3, height, width))
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    return network.eval()
