"""The five networks with page-by-page work around them, from decoded pages to results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch

from benchmarks.bench.readers.loader import DecodedBatch
from benchmarks.bench.readers.per_page import answers, images
from benchmarks.bench.readers.per_page.images import Floats, Image
from benchmarks.networks import (
    PageChain,
    Settings,
    bucket_widths,
    budgets_of,
    canvas_sizes,
    load_alphabet,
    network_of,
    networks_in,
    plan_calls,
    run_each,
)

Answer = TypeVar("Answer")

LAYOUT_PX = (608, 800)
TURNED_LINE_PX = 192


class PerPageChain:
    """Reads a batch: each network crosses it in the chain's own calls, everything else goes one by one."""

    def __init__(self, chain: PageChain, model_store: Path, settings: Settings | None = None) -> None:
        self._chain = chain
        self._settings = settings or Settings()
        self._alphabet = load_alphabet(networks_in(model_store))
        self._boxes = answers.Boxes(self._settings)
        self._regions = answers.Regions(self._settings)

    @torch.inference_mode()
    def __call__(self, batch: DecodedBatch) -> list[dict[str, Any]]:
        """One result a page; quads and boxes stay in the upright frame, which is all that words need."""
        pages = [images.bgr(page) for page in batch.images()]
        turns = [
            int(p.argmax()) for p in self._run("page_orientation", [images.centre_crop(page) for page in pages])[0]
        ]
        pages = [images.upright(page, turn) for page, turn in zip(pages, turns, strict=True)]
        regions = self._find_regions(pages)
        quads = self._find_lines(pages)
        lines = self._read_lines(pages, quads)
        return [
            {"orientation": {"angle_deg": 90 * turn}, "regions": found, "lines": read}
            for turn, found, read in zip(turns, regions, lines, strict=True)
        ]

    def _find_regions(self, pages: Sequence[Image]) -> list[list[dict[str, Any]]]:
        """Regions of each page."""

        def find(call: torch.Tensor) -> list[list[dict[str, Any]]]:
            some = [pages[number] for number in call.tolist()]
            seen = [images.stretched(page, LAYOUT_PX) for page in some]
            maps = self._run("layout", seen)
            return [self._regions([a_map[n : n + 1] for a_map in maps], page, seen[n]) for n, page in enumerate(some)]

        calls = torch.arange(len(pages)).split(budgets_of(self._chain).pages)
        return [page for found in run_each(self._chain, find, calls) for page in found]

    def _find_lines(self, pages: Sequence[Image]) -> list[Floats]:
        """Quads of each page, (L, 4, 2)."""
        sizes_px = torch.tensor([(page.shape[1], page.shape[0]) for page in pages])
        canvases = canvas_sizes(sizes_px, self._settings, self._settings.first_side_px)  # most pages get no other look

        def find(call: torch.Tensor) -> list[Floats]:
            width, height = canvases[call[0]].tolist()
            some = [pages[number] for number in call.tolist()]
            (maps,) = self._run("text_detection", [images.canvas(page, (width, height)) for page in some])
            return [self._boxes(a_map, page) for a_map, page in zip(maps, some, strict=True)]

        calls = plan_calls(canvases, budgets_of(self._chain).detection_pixels)
        return _in_order(calls, run_each(self._chain, find, calls))

    def _read_lines(self, pages: Sequence[Image], quads: Sequence[Floats]) -> list[list[dict[str, Any]]]:
        """The lines of each page, in the boxes' order; those in doubt are read both ways."""
        crops = [crop for page, own in zip(pages, quads, strict=True) for crop in answers.crops(page, own)]
        doubted = [number for number, flagged in enumerate(self._turned(crops)) if flagged]
        readings = self._recognise([*crops, *(_upside_down(crops[number]) for number in doubted)])
        for number, again in zip(doubted, readings[len(crops) :], strict=True):
            readings[number] = max(readings[number], again, key=lambda reading: reading[1])
        read = iter(readings)
        return [_kept([(quad, *next(read)) for quad in own], self._settings.line_score) for own in quads]

    def _turned(self, crops: Sequence[Image]) -> list[bool]:
        """Which lines may stand on their head."""

        def ask(call: torch.Tensor) -> list[bool]:
            some = [crops[number] for number in call.tolist()]
            seen = [images.line(crop, images.line_width(crop, TURNED_LINE_PX), TURNED_LINE_PX) for crop in some]
            flagged: list[bool] = (
                self._run("line_orientation", seen)[0][:, 1] > self._settings.turned_line_score
            ).tolist()
            return flagged

        calls = plan_calls(torch.full((len(crops), 1), TURNED_LINE_PX), budgets_of(self._chain).line_columns)
        return _in_order(calls, run_each(self._chain, ask, calls))

    def _recognise(self, crops: Sequence[Image]) -> list[tuple[str, float]]:
        """Text and score of each crop."""
        if not crops:
            return []
        widths = torch.tensor([images.line_width(crop, self._settings.max_line_px) for crop in crops])
        buckets = bucket_widths(widths, self._settings)

        def ask(call: torch.Tensor) -> list[tuple[str, float]]:
            canvas_px = int(buckets[call[0]])
            (said,) = self._run(
                "recognition", [images.line(crops[n], int(widths[n]), canvas_px) for n in call.tolist()]
            )
            return [answers.read_line(probabilities, self._alphabet) for probabilities in said]

        budgets = budgets_of(self._chain)
        calls = plan_calls(buckets[:, None], budgets.line_columns, few_sizes=budgets.few_sizes)
        return _in_order(calls, run_each(self._chain, ask, calls))

    def _run(self, stage: str, seen: Sequence[Floats]) -> list[Floats]:
        """One call of a network, NumPy in and out."""
        engine = self._chain.engine
        batch = engine.to_device(torch.from_numpy(np.stack(seen)).to(engine.dtype))
        return [output.float().cpu().numpy() for output in network_of(self._chain, stage)(batch)]


def _upside_down(crop: Image) -> Image:
    return cv2.rotate(crop, cv2.ROTATE_180).astype(np.uint8, copy=False)


def _in_order(calls: Sequence[torch.Tensor], said: Sequence[Sequence[Answer]]) -> list[Answer]:
    """What the calls said, item by item, in the items' order."""
    numbered = [pair for call, some in zip(calls, said, strict=True) for pair in zip(call.tolist(), some, strict=True)]
    return [answer for _, answer in sorted(numbered, key=lambda pair: pair[0])]


def _kept(lines: Sequence[tuple[Floats, str, float]], least_score: float) -> list[dict[str, Any]]:
    """Lines that say something with enough confidence."""
    return [
        {"text": text, "score": score, "quad_px": quad.tolist()}
        for quad, text, score in lines
        if text and score >= least_score
    ]
