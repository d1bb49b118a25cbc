"""THE main path: a batch of decoded pages in, one result a page out, through five models."""

import copy
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from quintet.pages.budgets import OPENVINO_OPTIONS, Budgets
from quintet.pages.records import Readings, Regions, UprightPages
from quintet.pages.results.page_writer import PageWriter
from quintet.pages.settings import OPTIONAL_STAGES, Settings
from quintet.pages.stages.layout import LABELS, Layout, no_regions
from quintet.pages.stages.line_orientation import LineOrientation, as_they_lie
from quintet.pages.stages.page_orientation import PageOrientation, as_they_are
from quintet.pages.stages.recognition import Recognition
from quintet.pages.warm_up import draw_pages
from quintet.pages.weights import SOURCES, load_alphabet
from quintet.pixels.image_chain import ImageChain, Result
from quintet.stages.text_detection import TextDetection
from quintet.tensors.records import Images, Lines


class PageChain(ImageChain):
    """Reads pages; `budgets` say how much goes into one call of each network."""

    schema = "quintet.page/1"
    sources = SOURCES
    settings = Settings
    optional_stages = OPTIONAL_STAGES
    _settings: Settings
    _page_orientation: Callable[[Images], UprightPages]
    _layout: Callable[[UprightPages], Regions]
    _line_orientation: Callable[[UprightPages, Lines], Readings]

    def __init__(self, settings: Settings, model_store: Path, device_index: int | None = None) -> None:
        """Load the five networks onto the device; raises as `ImageChain` does."""
        super().__init__(settings, model_store, device_index, OPENVINO_OPTIONS)
        engine, timed = self.engine, self._timer.timed
        self.budgets = budgets = Budgets.chosen(settings, engine.device.type)
        self._stand_in(OPTIONAL_STAGES)
        if settings.page_orientation:
            self._page_orientation = timed("page_orientation", PageOrientation(engine, budgets))
        if settings.layout:
            self._layout = timed("layout", Layout(engine, settings, budgets))
        text_detection = TextDetection(engine, settings, budgets.detection_pixels, budgets.map_pixels)
        self._text_detection = timed("text_detection", text_detection)
        if settings.line_orientation:
            self._line_orientation = timed("line_orientation", LineOrientation(engine, settings, budgets))
        self._recognition = timed("recognition", Recognition(engine, settings, budgets))
        self._write = timed("write", PageWriter(engine, settings, LABELS, load_alphabet(self._store)))

    def samples(self) -> list[bytes]:
        """As many drawn pages of a kind as the engine has threads, since each of them prepares for itself."""
        return draw_pages(max(2, self.engine.threads))

    def without(self, stages: Collection[str]) -> Self:
        """The same chain without some of its `optional_stages`: what a chain is whose settings have them off."""
        other = copy.copy(self)
        off: dict[str, Any] = dict.fromkeys(stages, False)
        other._use(replace(self._settings, **off))
        other._stand_in(stages)
        return other

    def _stand_in(self, stages: Collection[str]) -> None:
        """Put in the place of stages what there is without them."""
        if "page_orientation" in stages:
            self._page_orientation = as_they_are
        if "layout" in stages:
            self._layout = no_regions
        if "line_orientation" in stages:
            self._line_orientation = partial(as_they_lie, self._settings)

    def read(self, images: Images) -> list[Result]:
        """The five models over one batch of decoded pages."""
        upright = self._page_orientation(images)
        regions = self._layout(upright)
        lines = self._text_detection(upright)
        readings = self._line_orientation(upright, lines)
        texts = self._recognition(upright, readings)
        return self._write(images, upright, regions, texts, self._settings.left_out)
