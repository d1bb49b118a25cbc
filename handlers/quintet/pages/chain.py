"""THE main path: a batch of decoded pages in, one result a page out, through five models."""

from collections.abc import Mapping
from pathlib import Path

import torch

from quintet.pages.budgets import OPENVINO_OPTIONS, Budgets
from quintet.pages.records import UprightPages
from quintet.pages.results.page_writer import PageWriter
from quintet.pages.results.text_turn import agreement, other_turn
from quintet.pages.settings import Settings
from quintet.pages.stages.layout import LABELS, Layout
from quintet.pages.stages.line_orientation import LineOrientation
from quintet.pages.stages.page_orientation import PageOrientation
from quintet.pages.stages.recognition import Recognition
from quintet.pages.warm_up import draw_pages
from quintet.pages.weights import SOURCES, load_alphabet
from quintet.pixels.image_chain import ImageChain, Result
from quintet.stages.text_detection import TextDetection
from quintet.tensors.records import Images


class PageChain(ImageChain):
    """Reads pages; `budgets` say how much goes into one call of each network."""

    schema = "quintet.page/1"
    sources = SOURCES
    settings = Settings

    def __init__(self, settings: Settings, model_store: Path, device_index: int | None = None) -> None:
        """Load the five networks onto the device; raises as `ImageChain` does."""
        super().__init__(settings, model_store, device_index, OPENVINO_OPTIONS)
        engine, timed = self.engine, self._timer.timed
        self.budgets = budgets = Budgets.chosen(settings, engine.device.type)
        page_orientation = PageOrientation(engine, budgets)
        self._turned_back = page_orientation.turned_back
        self._page_orientation = timed("page_orientation", page_orientation)
        self._layout = timed("layout", Layout(engine, settings, budgets))
        text_detection = TextDetection(engine, settings, budgets.detection_pixels, budgets.map_pixels)
        self._text_detection = timed("text_detection", text_detection)
        self._line_orientation = timed("line_orientation", LineOrientation(engine, settings, budgets))
        self._recognition = timed("recognition", Recognition(engine, settings, budgets))
        self._write = timed("write", PageWriter(engine, settings, LABELS, load_alphabet(self._store)))

    def samples(self) -> list[bytes]:
        """As many drawn pages of a kind as the engine has threads, since each of them prepares for itself."""
        return draw_pages(max(2, self.engine.threads))

    def read(self, images: Images) -> list[Result]:
        """The five models over one batch of decoded pages, and once more over those that look otherwise by their text."""
        upright = self._page_orientation(images)
        results = self._read(images, upright)
        if doubted := {number: turn for number, turn in enumerate(map(other_turn, results)) if turn is not None}:
            for number, again in zip(doubted, self._read_turned(images, upright, doubted), strict=True):
                results[number] = max(results[number], again, key=agreement)
        return results

    def _read_turned(self, images: Images, upright: UprightPages, turns: Mapping[int, int]) -> list[Result]:
        """Some pages, by their numbers, with other clockwise quarter turns."""
        numbers, to_device = torch.tensor(list(turns)), self.engine.to_device
        some, probabilities = images.some(numbers, to_device), upright.probabilities[to_device(numbers)]
        return self._read(some, self._turned_back(some, torch.tensor(list(turns.values())), probabilities))

    def _read(self, images: Images, upright: UprightPages) -> list[Result]:
        regions = self._layout(upright)
        lines = self._text_detection(upright)
        readings = self._line_orientation(upright, lines)
        texts = self._recognition(upright, readings)
        return self._write(images, upright, regions, texts)
