"""Face points: the faces among the candidates, with eyes, nose and mouth."""

from torch import Tensor

from quintet.engine.engine import Engine
from quintet.photos.budgets import Budgets
from quintet.photos.records import Candidates, Faces, Photos
from quintet.photos.settings import PhotoSettings
from quintet.photos.stages.face_boxes import look_at_crops, moved, to_image_frame
from quintet.tensors.boxes import drop_nested

SIDE_PX = 48
# Of the smaller box: MTCNN's last NMS drops faces within faces.
SHARED = 0.7


class FacePoints:
    """O-Net of MTCNN over the candidates of all photos together."""

    def __init__(self, engine: Engine, settings: PhotoSettings, budgets: Budgets) -> None:
        self._engine = engine
        self._settings = settings
        self._budgets = budgets
        full = {(3, SIDE_PX, SIDE_PX): budgets.faces}
        self._network = engine.in_few_shapes(engine.network("face_points"), full)

    def __call__(self, photos: Photos, candidates: Candidates) -> Faces:
        """The faces of each photo, the largest first. Two data-dependent sizes: the likely ones, and what is kept."""
        looked = look_at_crops(self._engine, self._network, photos, candidates, SIDE_PX, self._budgets.faces)
        return self._decode(photos, candidates, *looked)

    def _decode(self, photos: Photos, candidates: Candidates, scores: Tensor, offsets: Tensor, points: Tensor) -> Faces:
        """From scores (C,), offsets (C, 4) and points (C, 10); what leaves a photo is cut off at its border."""
        likely = (scores > self._settings.face_score).nonzero().squeeze(1)
        boxes = moved(candidates.boxes[likely], offsets[likely], extra_px=1)
        kept = drop_nested(to_image_frame(boxes), scores[likely], candidates.page[likely], SHARED)
        likely, boxes = likely[kept], to_image_frame(boxes[kept])
        looked_at = to_image_frame(candidates.boxes[likely])
        sides = looked_at[:, 2:] - looked_at[:, :2]
        points_px = looked_at[:, None, :2] + points[likely].view(-1, 2, 5).transpose(1, 2) * sides[:, None]
        page = candidates.page[likely]
        limits = self._engine.to_device(photos.sizes_px.float())[page]
        boxes = boxes.clamp(min=0).minimum(limits.repeat(1, 2))
        order = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).argsort(descending=True, stable=True)
        order = order[page[order].argsort(stable=True)]
        return Faces(boxes[order], points_px[order], scores[likely][order], page[order])
