"""Bodies in, outcomes out: what every chain over images does around its networks."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from quintet.engine.calls import in_batches
from quintet.engine.engine import Engine
from quintet.engine.stage_timer import StageTimer
from quintet.errors import Failure
from quintet.pixels.decoder import AnyPage, Decoder, aligned_pixels
from quintet.pixels.settings import ImageSettings
from quintet.tensors.records import Images

Result = dict[str, Any]
Read = Callable[[Images], list[Result]]


class ImageBatches:
    """Decodes bodies, has them read in batches that fit, and puts failures back in their places.

    The stage timer counts all of it but the reading as `decode`.
    """

    def __init__(self, engine: Engine, settings: ImageSettings, timer: StageTimer) -> None:
        decoder = Decoder(engine, settings)
        self._batch_pixels = settings.batch_pixels
        self._open = decoder.open
        self._decode = timer.timed("decode", decoder, on_host=True)
        self._to_images = timer.timed("decode", decoder.to_images, on_host=True)

    @torch.inference_mode()
    def __call__(self, bodies: Sequence[bytes | memoryview], read: Read) -> list[Result | Failure]:
        """One outcome a body, in order: encoded images of any sizes, or raw pictures in memoryviews.

        `read` gets at least one image, at most `batch_pixels` of them together, and returns a result for each.
        """
        opened = self._open(bodies)
        batches = in_batches([aligned_pixels(image) for image in opened], self._batch_pixels)
        return [outcome for batch in batches for outcome in self._outcomes(opened[batch], read)]

    def _outcomes(self, opened: Sequence[AnyPage], read: Read) -> list[Result | Failure]:
        decoded = self._decode(opened)
        failures = [picture if isinstance(picture, Failure) else None for picture in decoded]
        pictures = [picture for picture in decoded if not isinstance(picture, Failure)]
        if not pictures:
            return [failure for failure in failures if failure]
        images = self._to_images(pictures)
        del decoded, pictures  # their memory is the networks' now
        results = iter(read(images))
        return [failure or next(results) for failure in failures]
