"""THE main path: a batch of encoded pages in, one result or failure a page out, through five models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from quintet import weights
from quintet.codec import Decoder, PageWriter
from quintet.engine import Engine
from quintet.errors import Failure
from quintet.records import Pages
from quintet.settings import Settings, read_settings
from quintet.stages.layout import LABELS, Layout
from quintet.stages.line_orientation import LineOrientation
from quintet.stages.page_orientation import PageOrientation
from quintet.stages.recognition import Recognition
from quintet.stages.text_detection import TextDetection

Result = dict[str, Any]


class PageChain:
    """Reads pages. Knows no server: whoever hosts it hands it bodies and gets JSON-ready results.

    Attributes:
        schema: name and version of the results' form.
        fingerprint: of weights and settings; results of equal fingerprints can be mixed.
    """

    schema = "quintet.page/1"

    @classmethod
    def from_options(cls, options: Mapping[str, Any], model_store: Path, device_index: int | None = None) -> PageChain:
        """The chain that a service's configuration describes.

        Args:
            options: the keys of `Settings`.
            model_store: holds the converted networks.
            device_index: which of several CUDA devices.

        Raises:
            SettingsError: an option is unknown or out of range.
            WeightsError: as below.
        """
        return cls(read_settings(options), model_store, device_index)

    def __init__(self, settings: Settings, model_store: Path, device_index: int | None = None) -> None:
        """Load the five networks onto the device.

        Raises:
            WeightsError: a weight file is missing or is not what its provenance says.
            SettingsError: the settings ask for what this machine does not have.
        """
        self.engine = Engine(settings, model_store, device_index)
        self.fingerprint = f"{weights.fingerprint(model_store)}-{settings.fingerprint()}"
        self._settings = settings
        self._decode = Decoder(self.engine, settings)
        self._page_orientation = PageOrientation(self.engine)
        self._layout = Layout(self.engine, settings)
        self._text_detection = TextDetection(self.engine, settings)
        self._line_orientation = LineOrientation(self.engine, settings)
        self._recognition = Recognition(self.engine, settings)
        self._write = PageWriter(self.engine, settings, LABELS, weights.load_alphabet(model_store))

    @torch.inference_mode()
    def __call__(self, bodies: Sequence[bytes]) -> list[Result | Failure]:
        """Read encoded pages of any sizes: one outcome a body, in order, whatever the others are."""
        decoded = self._decode(bodies)
        pictures = [picture for picture in decoded if not isinstance(picture, Failure)]
        batches = in_batches([math.prod(picture.size_px) for picture in pictures], self._settings.batch_pixels)
        results = iter([result for batch in batches for result in self.read(self._decode.to_pages(pictures[batch]))])
        return [picture if isinstance(picture, Failure) else next(results) for picture in decoded]

    def read(self, pages: Pages) -> list[Result]:
        """The five models over one batch of decoded pages."""
        upright = self._page_orientation(pages)
        regions = self._layout(upright)
        lines = self._text_detection(upright)
        readings = self._line_orientation(upright, lines)
        texts = self._recognition(upright, readings)
        return self._write(pages, upright, regions, texts)


def in_batches(pixels: Sequence[int], budget: int) -> list[slice]:
    """Neighbouring pages in batches that hold at most `budget` pixels; a page above it goes alone."""
    cuts, held = [0], 0
    for number, count in enumerate(pixels):
        if held and held + count > budget:
            cuts.append(number)
            held = 0
        held += count
    return [slice(*ends) for ends in pairwise([*cuts, len(pixels)])] if pixels else []
