"""Bytes to pixels on the device, and records to JSON. Nothing else does either."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from quintet.engine import Engine
from quintet.errors import Code, Failure, PageError
from quintet.geometry import bounding_boxes, box_corners, map_points
from quintet.reading_order import assign_regions, reading_order
from quintet.records import Pages, Raster, Regions, Texts, UprightPages
from quintet.settings import Settings

# Our own limits are held against the header before a pixel is decoded, so that Pillow's warning would come twice.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")


class Decoder:
    """Decodes bodies in a thread pool (the codecs release the GIL) straight into one staging area."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.decode_threads or engine.threads, thread_name_prefix="decode")

    def __call__(self, bodies: Sequence[bytes]) -> list[Image.Image | Failure]:
        """Each body as an RGB image as a viewer shows it, or why not."""
        return list(self._pool.map(self._decode, bodies))

    def to_pages(self, images: Sequence[Image.Image]) -> Pages:
        """Images as one batch on the device.

        Args:
            images: mode RGB; their pixels together within `batch_pixels`.
        """
        sizes = torch.tensor([image.size for image in images], dtype=torch.int64).view(-1, 2)
        counts = sizes.prod(dim=1)
        ends = counts.cumsum(0)
        staging = self._engine.staging(int(counts.sum()), torch.int32)
        slots = np.split(staging.numpy(), ends[:-1].numpy())
        list(self._pool.map(_copy_pixels, images, slots))
        widths, heights, offsets = (self._engine.to_device(t) for t in (sizes[:, 0], sizes[:, 1], ends - counts))
        return Pages(Raster(self._engine.to_device(staging), offsets, heights, widths), sizes)

    def _decode(self, body: bytes) -> Image.Image | Failure:
        """One body; what a page does wrong stays with that page."""
        try:
            return decode_image(body, self._settings)
        except PageError as error:
            return error.failure


def decode_image(body: bytes, settings: Settings) -> Image.Image:
    """An RGB image as a viewer shows it: EXIF turned, transparency on white, first frame.

    Raises:
        PageError: the body is empty, too large, of another format or damaged, or the image is too large or too small.
    """
    if not body:
        raise PageError(Code.EMPTY_BODY, "the body has no bytes: send one encoded image")
    if len(body) > settings.max_body_bytes:
        message = f"the body has {len(body)} bytes; allowed are {settings.max_body_bytes}"
        raise PageError(Code.IMAGE_TOO_LARGE, message)
    try:
        image = Image.open(io.BytesIO(body), formats=FORMATS)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise _not_an_image(body) from error
    _check_size(image.size, settings)
    return _load(image)


def _load(image: Image.Image) -> Image.Image:
    """Decode the pixels of an opened image."""
    try:
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # Pillow's codecs raise many types on damaged input; each is this page's own failure.
        raise PageError(
            Code.IMAGE_DECODE_FAILED, f"the image is damaged or truncated ({type(error).__name__})"
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: 16-bit grey by its high byte, transparency composed on white."""
    if image.mode.startswith("I;16") or image.mode == "I":
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _not_an_image(body: bytes) -> PageError:
    """Tell a damaged image of a known format from one of another format, by its first bytes."""
    known = (b"\xff\xd8", b"\x89PNG", b"II*\0", b"MM\0*", b"BM")
    if body.startswith(known) or body[8:12] == b"WEBP":
        return PageError(Code.IMAGE_DECODE_FAILED, "the image is damaged or truncated")
    return PageError(Code.UNSUPPORTED_FORMAT, f"the body is none of {', '.join(FORMATS)}")


def _check_size(size_px: tuple[int, int], settings: Settings) -> None:
    """Hold the size that the header declares against the limits, before a pixel is decoded."""
    width, height = size_px
    if width * height > settings.max_page_pixels:
        message = f"the image has {width} x {height} pixels; allowed are {settings.max_page_pixels}"
        raise PageError(Code.IMAGE_TOO_LARGE, message)
    if min(size_px) < settings.min_page_side_px:
        message = f"the image has {width} x {height} pixels; each side needs {settings.min_page_side_px}"
        raise PageError(Code.IMAGE_TOO_SMALL, message)


def _copy_pixels(image: Image.Image, slot: np.ndarray) -> None:
    """One RGB image into its part of the staging area, four bytes a pixel: R, G, B and one that nobody reads."""
    slot[:] = np.frombuffer(image.tobytes("raw", "RGBX"), dtype=np.int32)


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
