"""Bytes to pixels on the device, and records to JSON. Nothing else does either."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quintet.engine import Engine
from quintet.errors import Failure, PageError
from quintet.geometry import bounding_boxes, box_corners, map_points
from quintet.images import Picture, decode_image
from quintet.reading_order import assign_regions, reading_order
from quintet.records import Pages, Raster, Regions, Texts, UprightPages
from quintet.settings import Settings


class Decoder:
    """Decodes bodies in a thread pool (the codecs release the GIL) straight into one staging area."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.decode_threads or engine.threads, thread_name_prefix="decode")

    def __call__(self, bodies: Sequence[bytes]) -> list[Picture | Failure]:
        """Each body as a picture as a viewer shows it, or why not."""
        return list(self._pool.map(self._decode, bodies))

    def to_pages(self, pictures: Sequence[Picture]) -> Pages:
        """Pictures as one batch on the device; their pixels together within `batch_pixels`."""
        sizes = torch.tensor([picture.size_px for picture in pictures], dtype=torch.int64).view(-1, 2)
        counts = sizes.prod(dim=1)
        ends = counts.cumsum(0)
        staging = self._engine.staging(int(counts.sum()), torch.int32)
        slots = np.split(staging.numpy(), ends[:-1].numpy())
        list(self._pool.map(Picture.copy_to, pictures, slots))
        widths, heights, offsets = (self._engine.to_device(t) for t in (sizes[:, 0], sizes[:, 1], ends - counts))
        return Pages(Raster(self._engine.to_device(staging), offsets, heights, widths), sizes)

    def _decode(self, body: bytes) -> Picture | Failure:
        """One body; what a page does wrong stays with that page."""
        try:
            return Picture(decode_image(body, self._settings))
        except PageError as error:
            return error.failure


class PageWriter:
    """Turns the last records of a batch into results: one copy to the host, then plain Python."""

    def __init__(self, engine: Engine, settings: Settings, labels: Sequence[str], alphabet: Sequence[str]) -> None:
        self._engine = engine
        self._settings = settings
        self._labels = labels
        self._alphabet = np.array(alphabet, dtype=object)

    def __call__(self, pages: Pages, upright: UprightPages, regions: Regions, texts: Texts) -> list[dict[str, Any]]:
        """One JSON-ready result a page, coordinates in the image frame, regions and lines in reading order."""
        region_order = reading_order(regions.boxes_px, regions.page)
        boxes = regions.boxes_px[region_order]
        region_page = regions.page[region_order]
        line_boxes = bounding_boxes(texts.quads_px)
        order = reading_order(line_boxes, texts.page)
        centres = (line_boxes[:, :2] + line_boxes[:, 2:]) / 2
        arrays = self._to_arrays(
            turns=upright.quarter_turns,
            turn_scores=upright.scores,
            boxes=bounding_boxes(map_points(upright.to_image[region_page], box_corners(boxes))),
            labels=regions.labels[region_order],
            region_scores=regions.scores[region_order],
            region_page=region_page,
            quads=map_points(upright.to_image[texts.page], texts.quads_px)[order],
            line_scores=texts.scores[order],
            line_page=texts.page[order],
            line_region=assign_regions(centres, texts.page, boxes, region_page)[order],
            begin=texts.begin[order],
            steps=texts.steps[order],
            tokens=texts.tokens,
        )
        return self._results(pages.sizes_px.tolist(), arrays)

    def _to_arrays(self, **tensors: Tensor) -> dict[str, np.ndarray]:
        """The one copy: named tensors as NumPy arrays."""
        hosted = self._engine.to_host(*tensors.values())
        return {name: tensor.numpy() for name, tensor in zip(tensors, hosted, strict=True)}

    def _results(self, sizes: list[tuple[int, int]], arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
        """Cut the arrays into pages, which they hold in ascending order."""
        pages = np.arange(len(sizes) + 1)
        region_cuts = np.searchsorted(arrays["region_page"], pages)
        line_cuts = np.searchsorted(arrays["line_page"], pages)
        lines = self._lines(arrays, region_cuts)
        regions = self._regions(arrays)
        return [
            _result(size, arrays, number, regions[region_cuts[number] : region_cuts[number + 1]], lines[first:last])
            for number, (size, (first, last)) in enumerate(zip(sizes, itertools.pairwise(line_cuts), strict=True))
        ]

    def _regions(self, arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
        """All regions of the batch."""
        boxes = np.round(arrays["boxes"].astype(float), 1).tolist()
        scores = np.round(arrays["region_scores"].astype(float), 4).tolist()
        return [
            {"label": self._labels[label], "score": score, "box_px": box}
            for label, score, box in zip(arrays["labels"].tolist(), scores, boxes, strict=True)
        ]

    def _lines(self, arrays: dict[str, np.ndarray], region_cuts: np.ndarray) -> list[dict[str, Any] | None]:
        """All lines of the batch; None where nothing was read with enough confidence."""
        quads = np.round(arrays["quads"].astype(float), 1).tolist()
        scores = np.round(arrays["line_scores"].astype(float), 4).tolist()
        own_region = arrays["line_region"] - np.where(arrays["line_region"] >= 0, region_cuts[arrays["line_page"]], 0)
        texts = self._texts(arrays)
        return [
            {"text": text, "score": score, "quad_px": quad, "region": region if region >= 0 else None}
            if text and score >= self._settings.line_score
            else None
            for text, score, quad, region in zip(texts, scores, quads, own_region.tolist(), strict=True)
        ]

    def _texts(self, arrays: dict[str, np.ndarray]) -> list[str]:
        """Tokens to text, outer white space off: characters of all readings at once, then a slice a line."""
        places = arrays["tokens"].nonzero()[0]
        characters = self._alphabet[arrays["tokens"][places]]
        begins = np.searchsorted(places, arrays["begin"])
        ends = np.searchsorted(places, arrays["begin"] + arrays["steps"])
        return ["".join(characters[begin:end]).strip() for begin, end in zip(begins, ends, strict=True)]


def _result(
    size: tuple[int, int],
    arrays: dict[str, np.ndarray],
    number: int,
    regions: list[dict[str, Any]],
    lines: list[dict[str, Any] | None],
) -> dict[str, Any]:
    """One page's result, in the order in which a person reads it."""
    read = [line for line in lines if line is not None]
    orientation = {
        "angle_deg": int(arrays["turns"][number]) * 90,
        "score": round(float(arrays["turn_scores"][number]), 4),
    }
    return {
        "width_px": size[0],
        "height_px": size[1],
        "orientation": orientation,
        "regions": regions,
        "lines": read,
        "text": "\n".join(line["text"] for line in read),
    }
