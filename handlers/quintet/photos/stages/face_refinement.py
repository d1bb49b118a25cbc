"""Face refinement: which candidates hold a face, and where in them it is."""

from torch import Tensor

from quintet.engine.engine import Engine
from quintet.photos.budgets import Budgets
from quintet.photos.records import Candidates, Photos
from quintet.photos.settings import PhotoSettings
from quintet.photos.stages.face_boxes import look_at_crops, moved, squared
from quintet.tensors.boxes import nms

SIDE_PX = 24
IOU = 0.7


class FaceRefinement:
    """R-Net of MTCNN over the candidates of all photos together."""

    def __init__(self, engine: Engine, settings: PhotoSettings, budgets: Budgets) -> None:
        self._engine = engine
        self._settings = settings
        self._budgets = budgets
        full = {(3, SIDE_PX, SIDE_PX): budgets.faces}
        self._network = engine.in_few_shapes(engine.network("face_refinement"), full)

    def __call__(self, photos: Photos, candidates: Candidates) -> Candidates:
        """Keep what is likely a face. Two data-dependent sizes: the likely ones, and what NMS keeps of them."""
        looked = look_at_crops(self._engine, self._network, photos, candidates, SIDE_PX, self._budgets.faces)
        return self._decode(candidates, *looked)

    def _decode(self, candidates: Candidates, scores: Tensor, offsets: Tensor) -> Candidates:
        """From scores (C,) and offsets (C, 4)."""
        likely = (scores > self._settings.refinement_score).nonzero().squeeze(1)
        page = candidates.page[likely]
        kept = likely[nms(candidates.boxes[likely], scores[likely], page, IOU)]
        kept = kept[candidates.page[kept].argsort(stable=True)]
        boxes = squared(moved(candidates.boxes[kept], offsets[kept], extra_px=1))
        return Candidates(boxes, candidates.page[kept])
