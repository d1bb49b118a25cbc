"""The main path: a batch of decoded images in, one result an image out, through five networks."""

import io
from pathlib import Path

from PIL import Image
from quintet.pixels.image_chain import ImageChain, Result
from quintet.tensors.records import Images

from newchain.results import Writer
from newchain.settings import Settings
from newchain.stages import Keypoints, KindClassification, ObjectDetection, SceneClassification, Segmentation
from newchain.weights import SOURCES


class NewChain(ImageChain):
    """Looks at images; what every chain over images does around its stages is in `ImageChain`."""

    schema = "newchain.image/1"
    sources = SOURCES
    settings = Settings

    def __init__(self, settings: Settings, model_store: Path, device_index: int | None = None) -> None:
        """Load the networks onto the device; raises as `ImageChain` does."""
        super().__init__(settings, model_store, device_index)
        engine, timed = self.engine, self._timer.timed
        self._scene = timed("scene", SceneClassification(engine, settings))
        self._detection = timed("detection", ObjectDetection(engine, settings))
        self._kind = timed("kind", KindClassification(engine, settings))
        self._mask = timed("mask", Segmentation(engine, settings))
        self._keypoints = timed("keypoints", Keypoints(engine, settings))
        self._write = timed("write", Writer(engine))

    def samples(self) -> list[bytes]:
        """One image; the networks have run once already."""
        body = io.BytesIO()
        Image.effect_noise((640, 480), 90).convert("RGB").save(body, "JPEG")
        return [body.getvalue()]

    def read(self, images: Images) -> list[Result]:
        """The five networks over one batch of decoded images."""
        views = images.as_they_are()
        scenes = self._scene(views)
        objects = self._detection(views)
        kinds = self._kind(views, objects)
        shares = self._mask(views, objects)
        points_px = self._keypoints(views, objects)
        return self._write(views, scenes, objects, kinds, shares, points_px)
