"""Records to results: one copy to the host, then plain Python. Nothing else makes JSON of tensors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from quintet.engine.engine import Engine
from quintet.pages.pixels.geometry import bounding_boxes, box_corners, map_points
from quintet.pages.records import Pages, Regions, Texts, UprightPages
from quintet.pages.results.columns import Place, column_order, region_order
from quintet.pages.results.reading_order import assign_regions, in_rows, level
from quintet.pages.settings import Settings

Result = dict[str, Any]


class PageWriter:
    """Turns the last records of a batch into results."""

    def __init__(self, engine: Engine, settings: Settings, labels: Sequence[str], alphabet: Sequence[str]) -> None:
        self._engine = engine
        self._settings = settings
        self._labels = labels
        self._alphabet = np.array(alphabet, dtype=object)

    def __call__(self, pages: Pages, upright: UprightPages, regions: Regions, texts: Texts) -> list[Result]:
        """One JSON-ready result a page, coordinates in the image frame, regions and lines in reading order."""
        levelled = level(texts.quads_px, texts.page, len(pages.sizes_px))
        order = in_rows(levelled, texts.page)
        centres = texts.quads_px.mean(dim=1)
        arrays = self._to_arrays(
            turns=upright.quarter_turns,
            turn_scores=upright.scores,
            regions=regions.boxes_px,
            boxes=bounding_boxes(map_points(upright.to_image[regions.page], box_corners(regions.boxes_px))),
            labels=regions.labels,
            region_scores=regions.scores,
            region_page=regions.page,
            quads=map_points(upright.to_image[texts.page], texts.quads_px)[order],
            line_scores=texts.scores[order],
            line_page=texts.page[order],
            line_region=assign_regions(centres, texts.page, regions.boxes_px, regions.page)[order],
            levelled=levelled[order],
            begin=texts.begin[order],
            steps=texts.steps[order],
            tokens=texts.tokens,
        )
        return self._results(pages.sizes_px.tolist(), arrays)

    def _to_arrays(self, **tensors: Tensor) -> dict[str, np.ndarray]:
        """The one copy: named tensors as NumPy arrays."""
        hosted = self._engine.to_host(*tensors.values())
        return {name: tensor.numpy() for name, tensor in zip(tensors, hosted, strict=True)}

    def _results(self, sizes: list[tuple[int, int]], arrays: dict[str, np.ndarray]) -> list[Result]:
        """Cut the arrays into pages, which they hold in ascending order."""
        pages = np.arange(len(sizes) + 1)
        region_cuts = np.searchsorted(arrays["region_page"], pages).tolist()
        line_cuts = np.searchsorted(arrays["line_page"], pages).tolist()
        lines, regions = self._lines(arrays), self._regions(arrays)
        results = []
        for number, size in enumerate(sizes):
            own_regions, own_lines = slice(*region_cuts[number : number + 2]), slice(*line_cuts[number : number + 2])
            in_order = _in_reading_order(arrays, regions, lines, own_regions, own_lines)
            results.append(_result(size, _orientation(arrays, number), *in_order))
        return results

    def _regions(self, arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
        boxes = np.round(arrays["boxes"].astype(float), 1).tolist()
        scores = np.round(arrays["region_scores"].astype(float), 4).tolist()
        return [
            {"label": self._labels[label], "score": score, "box_px": box}
            for label, score, box in zip(arrays["labels"].tolist(), scores, boxes, strict=True)
        ]

    def _lines(self, arrays: dict[str, np.ndarray]) -> list[dict[str, Any] | None]:
        """All lines of the batch, without their regions; None where nothing was read with enough confidence."""
        quads = np.round(arrays["quads"].astype(float), 1).tolist()
        scores = np.round(arrays["line_scores"].astype(float), 4).tolist()
        return [
            {"text": text, "score": score, "quad_px": quad} if text and score >= self._settings.line_score else None
            for text, score, quad in zip(self._texts(arrays), scores, quads, strict=True)
        ]

    def _texts(self, arrays: dict[str, np.ndarray]) -> list[str]:
        """Tokens to text, outer white space off: characters of all readings at once, then a slice a line."""
        places = arrays["tokens"].nonzero()[0]
        characters = self._alphabet[arrays["tokens"][places]]
        begins = np.searchsorted(places, arrays["begin"])
        ends = np.searchsorted(places, arrays["begin"] + arrays["steps"])
        return ["".join(characters[begin:end]).strip() for begin, end in zip(begins, ends, strict=True)]


def _in_reading_order(
    arrays: dict[str, np.ndarray],
    regions: list[dict[str, Any]],
    lines: list[dict[str, Any] | None],
    own_regions: slice,
    own_lines: slice,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The regions and the lines of one page, each line with the place of its region among them."""
    boxes = arrays["levelled"][own_lines].tolist()
    region_of = [number - own_regions.start if number >= 0 else None for number in arrays["line_region"][own_lines]]
    labels = [region["label"] for region in regions[own_regions]]
    order = column_order(boxes, [Place(number, labels[number]) if number is not None else None for number in region_of])
    ranked = region_order(
        arrays["regions"][own_regions].tolist(), [boxes[n] for n in order], [region_of[n] for n in order]
    )
    rank: dict[int | None, int] = {region: place for place, region in enumerate(ranked)}
    read = [
        {**line, "region": rank.get(region_of[number])}
        for number in order
        if (line := lines[own_lines.start + number]) is not None
    ]
    return [regions[own_regions.start + number] for number in ranked], read


def _orientation(arrays: dict[str, np.ndarray], number: int) -> dict[str, Any]:
    score = round(float(arrays["turn_scores"][number]), 4)
    return {"angle_deg": int(arrays["turns"][number]) * 90, "score": score}


def _result(
    size: tuple[int, int], orientation: dict[str, Any], regions: list[dict[str, Any]], lines: list[dict[str, Any]]
) -> Result:
    """One page's result, in the order in which a person reads it."""
    return {
        "width_px": size[0],
        "height_px": size[1],
        "orientation": orientation,
        "regions": regions,
        "lines": lines,
        "text": "\n".join(line["text"] for line in lines),
    }
