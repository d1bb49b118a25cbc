"""THE main path: a batch of encoded pages in, one result or failure a page out, through five models."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from quintet.engine.engine import Engine
from quintet.engine.stage_timer import StageTimer
from quintet.errors import Failure
from quintet.pages.budgets import OPENVINO_OPTIONS, Budgets
from quintet.pages.results.page_writer import PageWriter
from quintet.pages.settings import Settings
from quintet.pages.stages.layout import LABELS, Layout
from quintet.pages.stages.line_orientation import LineOrientation
from quintet.pages.stages.page_orientation import PageOrientation
from quintet.pages.stages.recognition import Recognition
from quintet.pages.warm_up import draw_pages
from quintet.pages.weights import SOURCES, load_alphabet, networks_in
from quintet.pixels.image_batches import ImageBatches, Result
from quintet.stages.text_detection import TextDetection
from quintet.tensors.records import Images

logger = logging.getLogger(__name__)

# Well below the time that TorchServe gives a worker to start (startupTimeout, 300 s).
RECORD_WITHIN_S = 90.0


class PageChain:
    """Reads pages. Knows no server: whoever hosts it hands it bodies and gets JSON-ready results.

    Attributes:
        schema: name and version of the results' form.
        fingerprint: of weights and settings; results of equal fingerprints can be mixed.
        engine: what its networks run on.
        budgets: how much goes into one call of each.
    """

    schema = "quintet.page/1"
    sources = SOURCES
    settings = Settings

    @classmethod
    def from_options(cls, options: Mapping[str, Any], model_store: Path, device_index: int | None = None) -> Self:
        """The chain that a service's configuration describes: `options` are the keys of `Settings`."""
        return cls(Settings.from_options(options), model_store, device_index)

    def __init__(self, settings: Settings, model_store: Path, device_index: int | None = None) -> None:
        """Load the five networks onto the device.

        Raises:
            WeightsError: a weight file is missing or is not what its provenance says.
            SettingsError: the settings ask for what this machine does not have.
        """
        networks = networks_in(model_store)
        self.engine = engine = Engine(settings, networks, device_index, OPENVINO_OPTIONS)
        self.fingerprint = f"{networks.fingerprint()}-{settings.fingerprint()}"
        self.budgets = budgets = Budgets.chosen(settings, engine.device.type)
        self._settings = settings
        self._timer = StageTimer(engine.device)
        timed = self._timer.timed
        self._batches = ImageBatches(engine, settings, self._timer)
        self._page_orientation = timed("page_orientation", PageOrientation(engine, budgets))
        self._layout = timed("layout", Layout(engine, settings, budgets))
        text_detection = TextDetection(engine, settings, budgets.detection_pixels, budgets.map_pixels)
        self._text_detection = timed("text_detection", text_detection)
        self._line_orientation = timed("line_orientation", LineOrientation(engine, settings, budgets))
        self._recognition = timed("recognition", Recognition(engine, settings, budgets))
        self._write = timed("write", PageWriter(engine, settings, LABELS, load_alphabet(networks)))

    @property
    def limits(self) -> dict[str, int]:
        """What an encoded page may be."""
        return self._settings.limits()

    def __call__(self, bodies: Sequence[bytes | memoryview]) -> list[Result | Failure]:
        """Read pages of any sizes, encoded or as raw pictures in memoryviews: one outcome each, in order."""
        return self._batches(bodies, self.read)

    def warm_up(self) -> None:
        """Read drawn pages, so that the first real one does not pay for what first calls cost.

        As many of a kind as the engine has threads, since each of them prepares for itself. CUDA graphs, where they are
        on, are recorded for all shapes, as far as time allows; the others are recorded when they come a second time.
        """
        self(draw_pages(max(2, self.engine.threads)))
        left = self.engine.record_graphs(RECORD_WITHIN_S)
        if left:
            logger.warning("%d shapes are not recorded as CUDA graphs yet", left)

    def take_stage_seconds(self) -> dict[str, float]:
        """Seconds of each stage since the last time this was asked; see `StageTimer`."""
        return self._timer.take()

    def read(self, pages: Images) -> list[Result]:
        """The five models over one batch of decoded pages."""
        upright = self._page_orientation(pages)
        regions = self._layout(upright)
        lines = self._text_detection(upright)
        readings = self._line_orientation(upright, lines)
        texts = self._recognition(upright, readings)
        return self._write(pages, upright, regions, texts)
