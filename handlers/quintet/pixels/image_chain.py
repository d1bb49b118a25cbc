"""A chain over images without its stages: started from options, bodies decoded in batches, failures in their places."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch

from quintet.engine.calls import in_batches
from quintet.engine.engine import Classes, Engine, Options
from quintet.engine.stage_timer import StageTimer
from quintet.engine.weights import NetworkStore, Source
from quintet.errors import Code, Failure
from quintet.pixels.codec_processes import EncodedPage
from quintet.pixels.decoder import AnyPage, Body, Decoder, aligned_pixels
from quintet.pixels.documents.pages import is_document
from quintet.pixels.formats import is_tiff
from quintet.pixels.settings import ImageSettings
from quintet.tensors.records import Images

logger = logging.getLogger(__name__)

Result = dict[str, Any]
# Well below the time that TorchServe gives a worker to start (startupTimeout, 300 s).
WARM_UP_WITHIN_S = 90.0


class ImageChain(ABC):
    """What every chain over images is around its stages, which a chain makes in its constructor and calls in `read`.

    Knows no server: whoever hosts it hands it bodies and gets JSON-ready results. Times what it does as `decode`.

    Attributes:
        schema: name and version of the results' form; a changed meaning is another version.
        sources: where the networks' weights are from.
        settings: the class of its settings.
        fingerprint: of weights and settings; results of equal fingerprints can be mixed.
        engine: what its networks run on.
    """

    schema: str
    sources: Sequence[Source]
    settings: type[ImageSettings]

    @classmethod
    def from_options(cls, options: Mapping[str, Any], model_store: Path, device_index: int | None = None) -> Self:
        """The chain that a service's configuration describes: `options` are the keys of its `settings`."""
        return cls(cls.settings.from_options(options), model_store, device_index)

    def __init__(
        self,
        settings: ImageSettings,
        model_store: Path,
        device_index: int | None = None,
        openvino_options: Options | None = None,
        classes: Classes | None = None,
    ) -> None:
        """Load the networks onto the device; `openvino_options`, and `classes` that are kept, go by network.

        Raises:
            WeightsError: a weight file is missing or is not what its provenance says.
            SettingsError: the settings ask for what this machine does not have.
        """
        self._store = NetworkStore.of(model_store, self.sources)
        self.engine = Engine(settings, self._store, device_index, openvino_options, classes)
        self._use(settings)
        self._timer = StageTimer(self.engine.device)
        decoder = Decoder(self.engine, settings)
        self._open, self._open_document = decoder.open, decoder.open_document
        self._decode = self._timer.timed("decode", decoder, on_host=True)
        self._to_images = self._timer.timed("decode", decoder.to_images, on_host=True)

    def _use(self, settings: ImageSettings) -> None:
        """Take settings, and the fingerprint that they give."""
        self._settings = settings
        self.fingerprint = f"{self._store.fingerprint()}-{settings.fingerprint()}"

    @property
    def limits(self) -> dict[str, int]:
        """What an encoded image may be."""
        return self._settings.limits()

    @torch.inference_mode()
    def __call__(self, bodies: Sequence[Body]) -> list[Result | Failure]:
        """One outcome a body, in order: encoded images of any sizes, pages of documents, raw pictures."""
        opened = self._open(bodies)
        batches = in_batches([aligned_pixels(image) for image in opened], self._settings.batch_pixels)
        return [outcome for batch in batches for outcome in self._outcomes(opened[batch])]

    def open_document(
        self, body: bytes, first: int, last: int, dpi: int
    ) -> tuple[int, dict[int, EncodedPage | Failure]] | Failure | None:
        """Pages of a PDF or TIFF as bodies, see `quintet.frame.chain.ReadsDocuments`.

        A TIFF that has but one image is that image, and fails as one.
        """
        if not is_document(body) or len(body) > self._settings.max_body_bytes:
            return None
        found = self._open_document(body, first, last, dpi)
        if not is_tiff(body):
            return found
        if isinstance(found, Failure):
            return found if found.code is Code.DOCUMENT_TOO_LONG else None
        count, pages = found
        return None if count <= 1 and set(pages) <= {1} else found

    @abstractmethod
    def read(self, images: Images) -> list[Result]:
        """The networks over at least one decoded image, together at most `batch_pixels`: a result for each."""

    @abstractmethod
    def samples(self) -> list[bytes]:
        """Encoded images that are read before the first real one."""

    def warm_up(self) -> None:
        """Read samples, then run each shape that networks are called with on CUDA, as far as time allows.

        So the first real image does not pay for what first calls cost, and no batch for what new shapes cost.
        """
        self(self.samples())
        prepared, left = self.engine.prepare(WARM_UP_WITHIN_S)
        if left:
            logger.warning("%d shapes are prepared; for %d, which first batches pay for, was no time", prepared, left)
        elif prepared:
            logger.info("%d shapes of calls are prepared", prepared)

    def take_stage_seconds(self) -> dict[str, float]:
        """Seconds of each stage since the last time this was asked; see `StageTimer`."""
        return self._timer.take()

    def _outcomes(self, opened: Sequence[AnyPage]) -> list[Result | Failure]:
        decoded = self._decode(opened)
        failures = [picture if isinstance(picture, Failure) else None for picture in decoded]
        pictures = [picture for picture in decoded if not isinstance(picture, Failure)]
        if not pictures:
            return [failure for failure in failures if failure]
        images = self._to_images(pictures)
        del decoded, pictures  # their memory is the networks' now
        results = iter(self.read(images))
        return [failure or next(results) for failure in failures]
