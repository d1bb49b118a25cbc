"""Records to results: one copy to the host, then plain Python. Nothing else makes JSON of tensors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from quintet.engine.engine import Engine
from quintet.pages.records import CERTAIN, Regions, Texts, UprightPages
from quintet.pages.results.columns import Box, column_order, region_order
from quintet.pages.results.reading_order import assign_regions, in_rows, level
from quintet.pages.results.tables import tables_of
from quintet.pages.results.text_turn import text_score
from quintet.pages.results.words import Characters, words_of
from quintet.pages.settings import Settings
from quintet.tensors.geometry import bounding_boxes, box_corners, map_points
from quintet.tensors.levels import slices
from quintet.tensors.records import Images

Result = dict[str, Any]
Arrays = dict[str, np.ndarray]


class PageWriter:
    """Turns the last records of a batch into results."""

    def __init__(self, engine: Engine, settings: Settings, labels: Sequence[str], alphabet: Sequence[str]) -> None:
        self._engine = engine
        self._settings = settings
        self._labels = labels
        self._alphabet = np.array(alphabet, dtype=object)

    def __call__(
        self, pages: Images, upright: UprightPages, regions: Regions, texts: Texts, left_out: Sequence[str] = ()
    ) -> list[Result]:
        """One JSON-ready result a page, coordinates in the image frame, regions and lines in reading order.

        Each says which stages were left out, if any were.
        """
        levelled = level(texts.quads_px, texts.page, len(pages.sizes_px))
        order = in_rows(levelled, texts.page)
        centres = texts.quads_px.mean(dim=1)
        tensors = {
            "turns": upright.quarter_turns,
            "turn_probabilities": upright.probabilities,
            "regions": regions.boxes_px,
            "boxes": bounding_boxes(map_points(upright.to_image[regions.page], box_corners(regions.boxes_px))),
            "labels": regions.labels,
            "region_scores": regions.scores,
            "region_page": regions.page,
            "quads": map_points(upright.to_image[texts.page], texts.quads_px)[order],
            "line_widths": texts.widths_px[order],
            "line_scores": texts.scores[order],
            "line_page": texts.page[order],
            "line_region": assign_regions(centres, texts.page, regions.boxes_px, regions.page)[order],
            "levelled": levelled[order],
            "begin": texts.begin[order],
            "steps": texts.steps[order],
            "tokens": texts.tokens,
            "probabilities": texts.probabilities,
        }
        hosted = self._engine.to_host(*tensors.values())  # the one copy
        arrays = {name: tensor.numpy() for name, tensor in zip(tensors, hosted, strict=True)}
        said = {"left_out": list(left_out)} if left_out else {}
        lines = self._lines(arrays, with_words="words" not in left_out)
        return [{**result, **said} for result in self._results(pages.sizes_px.tolist(), arrays, lines)]

    def _results(self, sizes: list[tuple[int, int]], arrays: Arrays, all_lines: list[Result | None]) -> list[Result]:
        """Cut the arrays into pages, which they hold in ascending order; values as a person reads them."""
        regions_of, lines_of = (
            slices(torch.from_numpy(arrays[name]), len(sizes)) for name in ("region_page", "line_page")
        )
        all_regions = self._regions(arrays)
        results = []
        for number, (width_px, height_px) in enumerate(sizes):
            own_regions, own_lines = regions_of[number], lines_of[number]
            regions, lines, tables = _in_reading_order(
                all_regions[own_regions],
                arrays["regions"][own_regions].tolist(),
                all_lines[own_lines],
                arrays["levelled"][own_lines].tolist(),
                (arrays["line_region"][own_lines] - own_regions.start).tolist(),
            )
            turn = int(arrays["turns"][number])
            results.append(
                {
                    "width_px": width_px,
                    "height_px": height_px,
                    "orientation": {
                        "angle_deg": turn * 90,
                        "score": round(float(arrays["turn_probabilities"][number, turn]), 4),
                        "text_score": text_score(lines, turn),
                    },
                    "regions": regions,
                    "lines": lines,
                    "tables": tables,
                    "text": "\n".join(line["text"] for line in lines),
                }
            )
        return results

    def _regions(self, arrays: Arrays) -> list[Result]:
        boxes = np.round(arrays["boxes"].astype(float), 1).tolist()
        scores = np.round(arrays["region_scores"].astype(float), 4).tolist()
        return [
            {"label": self._labels[label], "score": score, "box_px": box}
            for label, score, box in zip(arrays["labels"].tolist(), scores, boxes, strict=True)
        ]

    def _lines(self, arrays: Arrays, *, with_words: bool) -> list[Result | None]:
        """All lines of the batch, without their regions; None where nothing was read with enough confidence."""
        quads = np.round(arrays["quads"].astype(float), 1).tolist()
        scores = np.round(arrays["line_scores"].astype(float), 4).tolist()
        characters = self._characters(arrays)
        lines: list[Result | None] = [
            {"text": text, "score": score, "quad_px": quad} if text and score >= self._settings.line_score else None
            for text, score, quad in zip(characters.of_lines(len(quads)), scores, quads, strict=True)
        ]
        if not with_words:
            return lines
        words = words_of(characters, arrays["quads"], arrays["line_widths"])
        return [line and {**line, "words": own} for line, own in zip(lines, words, strict=True)]

    def _characters(self, arrays: Arrays) -> Characters:
        """Tokens to characters, those of all lines at once; readings that were not chosen have tokens too."""
        places = arrays["tokens"].nonzero()[0]
        begins = np.searchsorted(places, arrays["begin"])
        counts = np.searchsorted(places, arrays["begin"] + arrays["steps"]) - begins
        line = np.repeat(np.arange(len(counts)), counts)
        own = places[np.arange(len(line)) + (begins - counts.cumsum() + counts)[line]]
        return Characters(
            self._alphabet[arrays["tokens"][own]],
            arrays["probabilities"][own] / CERTAIN,
            own - arrays["begin"][line],
            line,
        )


def _in_reading_order(
    regions: list[Result], region_boxes: list[Box], lines: list[Result | None], line_boxes: list[Box], region: list[int]
) -> tuple[list[Result], list[Result], list[Result]]:
    """The regions, lines and tables of one page, each line with its region's (negative: none) place among them."""
    region_of = [number if number >= 0 else None for number in region]
    labels = [None if number is None else regions[number]["label"] for number in region_of]
    texts = [line["text"] if line else "" for line in lines]
    order = column_order(line_boxes, region_of, labels, texts)
    ranked = region_order(region_boxes, [line_boxes[n] for n in order], [region_of[n] for n in order])
    rank: dict[int | None, int] = {number: place for place, number in enumerate(ranked)}
    kept = [n for n in order if lines[n] is not None]
    read = [{**line, "region": rank.get(region_of[n])} for n in kept if (line := lines[n])]
    found = tables_of([line_boxes[n] for n in kept], [line["region"] for line in read], [labels[n] for n in kept])
    tables = [{"region": place, "rows": rows} for place, rows in found]
    return [regions[number] for number in ranked], read, tables
