"""THE main path: a batch of encoded photos in, one result or failure a photo out, through five models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from quintet.engine.engine import Engine
from quintet.engine.stage_timer import StageTimer
from quintet.engine.weights import NetworkStore
from quintet.errors import Failure
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
from quintet.pixels.image_batches import ImageBatches, Result
from quintet.stages.text_detection import TextDetection


class PhotoChain:
    """Finds what a photo must have hidden. Knows no server: it is handed bodies and gives JSON-ready results.

    Attributes:
        schema: name and version of the results' form; see `PhotoWriter`.
        fingerprint: of weights and settings; results of equal fingerprints can be mixed.
        engine: what its networks run on.
        budgets: how much goes into one call of each.
    """

    schema = "quintet.photo/1"
    sources = SOURCES
    settings = PhotoSettings

    @classmethod
    def from_options(cls, options: Mapping[str, Any], model_store: Path, device_index: int | None = None) -> Self:
        """The chain that a service's configuration describes: `options` are the keys of `PhotoSettings`."""
        return cls(PhotoSettings.from_options(options), model_store, device_index)

    def __init__(self, settings: PhotoSettings, model_store: Path, device_index: int | None = None) -> None:
        """Load the five networks onto the device.

        Raises:
            WeightsError: a weight file is missing or is not what its provenance says.
            SettingsError: the settings ask for what this machine does not have.
        """
        networks = NetworkStore(model_store, SOURCES)
        self.engine = engine = Engine(settings, networks, device_index, OPENVINO_OPTIONS)
        self.fingerprint = f"{networks.fingerprint()}-{settings.fingerprint()}"
        self.budgets = budgets = Budgets.chosen(settings, engine.device.type)
        self._settings = settings
        self._timer = StageTimer(engine.device)
        timed = self._timer.timed
        self._batches = ImageBatches(engine, settings, self._timer)
        self._sums = timed("sums", lambda images: Photos.of(images, engine))
        self._nudity = timed("nudity", Nudity(engine, budgets))
        self._face_proposals = timed("face_proposals", FaceProposals(engine, settings, budgets))
        self._face_refinement = timed("face_refinement", FaceRefinement(engine, settings, budgets))
        self._face_points = timed("face_points", FacePoints(engine, settings, budgets))
        text_detection = TextDetection(engine, settings, budgets.detection_pixels, budgets.map_pixels)
        self._text_detection = timed("text_detection", text_detection)
        self._write = timed("write", PhotoWriter(engine))

    @property
    def limits(self) -> dict[str, int]:
        """What an encoded photo may be."""
        return self._settings.limits()

    def __call__(self, bodies: Sequence[bytes | memoryview]) -> list[Result | Failure]:
        """Look at photos of any sizes, encoded or as raw pictures in memoryviews: one outcome each, in order."""
        return self._batches(bodies, lambda images: self.read(self._sums(images)))

    def warm_up(self) -> None:
        """Look at drawn photos, as many as the engine has threads, since each of them prepares for itself."""
        self(draw_photos(max(2, self.engine.threads)))

    def take_stage_seconds(self) -> dict[str, float]:
        """Seconds of each stage since the last time this was asked; see `StageTimer`."""
        return self._timer.take()

    def read(self, photos: Photos) -> list[Result]:
        """The five models over one batch of decoded photos."""
        nudity = self._nudity(photos)
        proposals = self._face_proposals(photos)
        candidates = self._face_refinement(photos, proposals)
        faces = self._face_points(photos, candidates)
        texts = self._text_detection(photos)
        return self._write(photos, nudity, faces, texts)
