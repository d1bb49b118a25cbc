"""The main path: a batch of encoded images in, one result or failure an image out, through five networks."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from PIL import Image
from quintet.engine.engine import Engine
from quintet.engine.stage_timer import StageTimer
from quintet.engine.weights import NetworkStore
from quintet.errors import Failure
from quintet.pixels.image_batches import ImageBatches, Result
from quintet.tensors.records import Images

from newchain.results import Writer
from newchain.settings import Settings
from newchain.stages import Keypoints, KindClassification, ObjectDetection, SceneClassification, Segmentation
from newchain.weights import SOURCES

# Below the time that a worker has to start.
RECORD_WITHIN_S = 90.0


class NewChain:
    """Looks at images. Knows no server: whoever hosts it hands it bodies and gets JSON-ready results.

    Attributes:
        schema: name and version of the results' form; a changed meaning is another version.
        sources: where the networks' weights are from.
        settings: the class of its settings.
        fingerprint: of weights and settings; results of equal fingerprints can be mixed.
        engine: what its networks run on.
    """

    schema = "newchain.image/1"
    sources = SOURCES
    settings = Settings

    @classmethod
    def from_options(cls, options: Mapping[str, Any], model_store: Path, device_index: int | None = None) -> Self:
        """The chain that a service's configuration describes: `options` are the keys of `Settings`."""
        return cls(Settings.from_options(options), model_store, device_index)

    def __init__(self, settings: Settings, model_store: Path, device_index: int | None = None) -> None:
        """Load the networks onto the device.

        Raises:
            WeightsError: a weight file is missing or is not what its provenance says.
            SettingsError: the settings ask for what this machine does not have.
        """
        store = NetworkStore(model_store, SOURCES)
        self.engine = engine = Engine(settings, store, device_index)
        self.fingerprint = f"{store.fingerprint()}-{settings.fingerprint()}"
        self._settings = settings
        self._timer = StageTimer(engine.device)
        self._batches = ImageBatches(engine, settings, self._timer)
        timed = self._timer.timed
        self._scene = timed("scene", SceneClassification(engine, settings))
        self._detection = timed("detection", ObjectDetection(engine, settings))
        self._kind = timed("kind", KindClassification(engine, settings))
        self._mask = timed("mask", Segmentation(engine, settings))
        self._keypoints = timed("keypoints", Keypoints(engine, settings))
        self._write = timed("write", Writer(engine))

    @property
    def limits(self) -> dict[str, int]:
        """What an encoded image may be."""
        return self._settings.limits()

    def __call__(self, bodies: Sequence[bytes | memoryview]) -> list[Result | Failure]:
        """Look at images of any sizes: one outcome each, in order."""
        return self._batches(bodies, self.read)

    def warm_up(self) -> None:
        """Look at an image before the first one comes; the networks have run once already."""
        body = io.BytesIO()
        Image.effect_noise((640, 480), 90).convert("RGB").save(body, "JPEG")
        self([body.getvalue()])
        self.engine.record_graphs(RECORD_WITHIN_S)

    def take_stage_seconds(self) -> dict[str, float]:
        """Seconds of each stage since the last time this was asked."""
        return self._timer.take()

    def read(self, images: Images) -> list[Result]:
        """The five networks over one batch of decoded images."""
        views = images.as_they_are()
        scenes = self._scene(views)
        objects = self._detection(views)
        kinds = self._kind(views, objects)
        shares = self._mask(views, objects)
        points_px = self._keypoints(views, objects)
        return self._write(views, scenes, objects, kinds, shares, points_px)
