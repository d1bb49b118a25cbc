"""The five stages, one callable each: look at regions, run the network, decode what it says."""

import torch
from quintet.engine.engine import Engine
from quintet.tensors.boxes import best_of_each, nms
from quintet.tensors.geometry import box_corners, map_points
from quintet.tensors.levels import crop_frames
from quintet.tensors.records import Views
from torch import Tensor

from newchain.networks import CROP_PX, DETECTION_PX, OBJECTS, SCENE_PX, anchors
from newchain.regions import Objects, RegionNetwork, whole
from newchain.settings import Settings

# The likeliest of an image that non-maximum suppression looks at.
CANDIDATES = 200


class SceneClassification:
    """What each image shows as a whole."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._network = RegionNetwork(engine, "scene", SCENE_PX, settings.call_pixels)

    def __call__(self, images: Views) -> Tensor:
        """Probabilities of the scenes, (P, K)."""
        (logits,) = self._network(images, whole(images, self._engine))
        return logits.softmax(dim=1)


class ObjectDetection:
    """SSDLite over each image stretched to its canvas.

    Source: W. Liu et al., SSD: Single Shot MultiBox Detector (2016); the variances are torchvision's.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        self._network = RegionNetwork(engine, "detection", DETECTION_PX, settings.call_pixels)
        self._anchors = anchors().to(engine.device)

    def __call__(self, images: Views) -> Objects:
        """The objects of each image, from its best down. Three syncs: candidates, suppression, the best."""
        regions = whole(images, self._engine)
        offsets, logits = self._network(images, regions)
        return self._decode(offsets, logits, regions.boxes_px[:, 2:].repeat(1, 2))

    def _decode(self, offsets: Tensor, logits: Tensor, sizes_px: Tensor) -> Objects:
        """From (P, A, 4) offsets and (P, A, 1 + K) logits to objects in images of (P, 4) sizes, twice each."""
        probabilities = logits.softmax(dim=2)[:, :, 1:]
        likeliest, places = probabilities.flatten(1).topk(CANDIDATES, dim=1)
        image, rank = (likeliest > self._settings.object_score).nonzero(as_tuple=True)
        scores, place = likeliest[image, rank], places[image, rank]
        anchor, labels = place // len(OBJECTS), place % len(OBJECTS)
        boxes = decode_boxes(offsets[image, anchor], self._anchors[anchor])
        kept = nms(boxes, scores, image * len(OBJECTS) + labels, self._settings.object_iou)
        kept = kept[best_of_each(scores[kept], image[kept], self._settings.most_objects)]
        return Objects(boxes[kept] * sizes_px[image[kept]], image[kept], labels[kept], scores[kept])


class KindClassification:
    """What kind each object is of."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._network = RegionNetwork(engine, "kind", CROP_PX, settings.call_pixels)

    def __call__(self, images: Views, objects: Objects) -> Tensor:
        """Probabilities of the kinds, (N, K)."""
        (logits,) = self._network(images, objects)
        return logits.softmax(dim=1)


class Segmentation:
    """How much of each object's box is the object."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._network = RegionNetwork(engine, "mask", CROP_PX, settings.call_pixels)

    def __call__(self, images: Views, objects: Objects) -> Tensor:
        """Shares, (N,)."""
        (logits,) = self._network(images, objects)
        return logits.softmax(dim=1)[:, 1].mean(dim=(1, 2))


class Keypoints:
    """Where the keypoints of each object are.

    Source: X. Sun et al., Integral Human Pose Regression (2018): the mean place under a heat map's softmax.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._network = RegionNetwork(engine, "keypoints", CROP_PX, settings.call_pixels)

    def __call__(self, images: Views, objects: Objects) -> Tensor:
        """Points in the image frame, (N, K, 2)."""
        (maps,) = self._network(images, objects)
        return map_points(crop_frames(box_corners(objects.boxes_px), (1, 1)), mean_places(maps))


def decode_boxes(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Boxes within the image, whose sides are 1, and not smaller than a hundredth: (N, 4) and (N, 4) to (N, 4)."""
    sizes = anchors[:, 2:] - anchors[:, :2]
    centres = (anchors[:, 2:] + anchors[:, :2]) / 2 + offsets[:, :2] / 10 * sizes
    halves = sizes * (offsets[:, 2:] / 5).clamp(max=4).exp() / 2
    low = (centres - halves).clamp(0, 0.99)
    high = (centres + halves).clamp(max=1).maximum(low + 0.01)
    return torch.cat([low, high], dim=1)


def mean_places(maps: Tensor) -> Tensor:
    """The mean place under each map's softmax, x and y from 0 to 1: (N, K, H, W) to (N, K, 2)."""
    weights = maps.flatten(2).softmax(dim=2).view_as(maps)
    rows, columns = ((torch.arange(side, device=maps.device) + 0.5) / side for side in maps.shape[2:])
    return torch.stack([(weights.sum(dim=2) * columns).sum(dim=2), (weights.sum(dim=3) * rows).sum(dim=2)], dim=2)
