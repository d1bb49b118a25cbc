"""THE main path: a batch of decoded photos in, one result a photo out, through five models."""

from pathlib import Path

from quintet.photos.budgets import OPENVINO_OPTIONS, Budgets
from quintet.photos.records import Photos
from quintet.photos.results.photo_writer import PhotoWriter
from quintet.photos.settings import PhotoSettings
from quintet.photos.stages.face_points import FacePoints
from quintet.photos.stages.face_proposals import FaceProposals
from quintet.photos.stages.face_refinement import FaceRefinement
from quintet.photos.stages.nudity import Nudity
from quintet.photos.warm_up import draw_photos
from quintet.photos.weights import SOURCES
from quintet.pixels.image_chain import ImageChain, Result
from quintet.stages.text_detection import TextDetection
from quintet.tensors.records import Images


class PhotoChain(ImageChain):
    """Finds what a photo must have hidden; `budgets` say how much goes into one call of each network."""

    schema = "quintet.photo/1"
    sources = SOURCES
    settings = PhotoSettings

    def __init__(self, settings: PhotoSettings, model_store: Path, device_index: int | None = None) -> None:
        """Load the five networks onto the device; raises as `ImageChain` does."""
        super().__init__(settings, model_store, device_index, OPENVINO_OPTIONS)
        engine, timed = self.engine, self._timer.timed
        self.budgets = budgets = Budgets.chosen(settings, engine.device.type)
        self._sums = timed("sums", lambda images: Photos.of(images, engine))
        self._nudity = timed("nudity", Nudity(engine, budgets))
        self._face_proposals = timed("face_proposals", FaceProposals(engine, settings, budgets))
        self._face_refinement = timed("face_refinement", FaceRefinement(engine, settings, budgets))
        self._face_points = timed("face_points", FacePoints(engine, settings, budgets))
        text_detection = TextDetection(engine, settings, budgets.detection_pixels, budgets.map_pixels)
        self._text_detection = timed("text_detection", text_detection)
        self._write = timed("write", PhotoWriter(engine))

    def samples(self) -> list[bytes]:
        """As many drawn photos as the engine has threads, since each of them prepares for itself."""
        return draw_photos(max(2, self.engine.threads))

    def read(self, images: Images) -> list[Result]:
        """The five models over one batch of decoded photos."""
        photos = self._sums(images)
        nudity = self._nudity(photos)
        proposals = self._face_proposals(photos)
        candidates = self._face_refinement(photos, proposals)
        faces = self._face_points(photos, candidates)
        texts = self._text_detection(photos)
        return self._write(photos, nudity, faces, texts)
