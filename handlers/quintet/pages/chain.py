"""THE main path: a batch of decoded pages in, one result a page out, through five models."""

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch

from quintet.engine.weights import NetworkStore
from quintet.pages.budgets import OPENVINO_OPTIONS, Budgets
from quintet.pages.records import Readings, Regions, UprightPages
from quintet.pages.results.page_writer import PageWriter
from quintet.pages.results.text_turn import agreement, other_turn
from quintet.pages.scripts import classes_of
from quintet.pages.settings import OPTIONAL_STAGES, Settings
from quintet.pages.stages.layout import LABELS, Layout, no_regions
from quintet.pages.stages.line_orientation import LineOrientation, as_they_lie
from quintet.pages.stages.page_orientation import PageOrientation, as_they_are, turned_back
from quintet.pages.stages.recognition import Recognition
from quintet.pages.warm_up import draw_pages
from quintet.pages.weights import SOURCES, check_forms, load_alphabet
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
        store = NetworkStore.of(model_store, self.sources)
        check_forms(store)
        alphabet = load_alphabet(store)
        kept = classes_of(alphabet, settings.scripts)
        classes = {"recognition": kept} if len(kept) < len(alphabet) else {}
        super().__init__(settings, model_store, device_index, OPENVINO_OPTIONS, classes)
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
        characters = [alphabet[number] for number in kept]
        space = characters.index(" ") if " " in characters else None
        self._recognition = timed("recognition", Recognition(engine, settings, budgets, space))
        self._write = timed("write", PageWriter(engine, settings, LABELS, characters))

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
        """The five models over one batch of decoded pages; once more over those whose text runs another way."""
        upright = self._page_orientation(images)
        results = self._read(images, upright)
        # A line that stands on its head is read right, and so a witness, if line orientation has seen that it does.
        asked = self._settings.page_orientation and self._settings.line_orientation
        turns = {n: turn for n, result in enumerate(results) if asked and (turn := other_turn(result)) is not None}
        if turns:
            for number, again in zip(turns, self._read_turned(images, upright, turns), strict=True):
                results[number] = max(results[number], again, key=agreement)
        return results

    def _read_turned(self, images: Images, upright: UprightPages, turns: Mapping[int, int]) -> list[Result]:
        """Some pages, by their numbers, with other clockwise quarter turns."""
        numbers, quarter_turns = torch.tensor(list(turns.items())).T
        to_device = self.engine.to_device
        some, probabilities = images.some(numbers, to_device), upright.probabilities[to_device(numbers)]
        return self._read(some, turned_back(some, quarter_turns, probabilities, to_device))

    def _read(self, images: Images, upright: UprightPages) -> list[Result]:
        regions = self._layout(upright)
        lines = self._text_detection(upright)
        readings = self._line_orientation(upright, lines)
        texts = self._recognition(upright, readings)
        return self._write(images, upright, regions, texts, self._settings.left_out)
