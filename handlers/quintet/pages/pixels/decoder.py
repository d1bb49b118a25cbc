"""Bytes to pixels on the device. Nothing else does that."""

import math
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from quintet.engine.engine import Engine
from quintet.errors import Failure, PageError
from quintet.pages.pixels.device_jpeg import DevicePicture, choose_device_jpeg, is_plain, packed_words
from quintet.pages.pixels.images import Opened, Picture, load_image, open_image
from quintet.pages.pixels.raw_pictures import RawPicture, read_raw
from quintet.pages.records import Pages, Raster
from quintet.pages.settings import Settings

AnyPicture = Picture | RawPicture | DevicePicture
# Where the pixels of a batch come from, in the order in which they lie on the device.
_SOURCES = (Picture, RawPicture, DevicePicture)


class Decoder:
    """Decodes bodies in a thread pool (the codecs release the GIL) straight into one staging area.

    Plain JPEGs are decoded on the device instead, where the setting `jpeg` says so.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._device_jpeg = choose_device_jpeg(settings.jpeg, engine)
        self._pool = ThreadPoolExecutor(settings.decode_threads or engine.threads, thread_name_prefix="decode")

    def open(self, bodies: Sequence[bytes | memoryview]) -> list[Opened | RawPicture | Failure]:
        """The header of each body, or why not; nothing is decoded yet. What comes as a memoryview is a raw picture."""
        return list(self._pool.map(self._open, bodies))

    def __call__(self, pages: Sequence[Opened | RawPicture | Failure]) -> list[AnyPicture | Failure]:
        """The pixels of each page as a viewer shows them, or why not: the device and the host work side by side."""
        device = self._device_jpeg
        jpegs = [page for page in pages if device and isinstance(page, Opened) and is_plain(page)]
        plain = set(map(id, jpegs))
        for_host = [None if id(page) in plain else self._pool.submit(_load, page) for page in pages]
        pictures = device(jpegs) if device else []
        # If the device refuses them all go to the host, where each fails or succeeds by itself.
        on_device = iter(self._pool.map(_load, jpegs) if pictures is None else pictures)
        return [next(on_device) if future is None else future.result() for future in for_host]

    def to_pages(self, pictures: Sequence[AnyPicture]) -> Pages:
        """Pictures as one batch on the device; their pixels together within `batch_pixels`."""
        sizes = torch.tensor([picture.size_px for picture in pictures], dtype=torch.int64).view(-1, 2)
        counts = sizes.prod(dim=1)
        # What was decoded here lies first, in one piece, and the rest behind it.
        order = torch.tensor([_SOURCES.index(type(picture)) for picture in pictures]).argsort(stable=True)
        ends = counts[order].cumsum(0)
        offsets = torch.empty_like(counts).scatter_(0, order, ends - counts[order])
        widths, heights, offsets = (self._engine.to_device(t) for t in (sizes[:, 0], sizes[:, 1], offsets))
        return Pages(Raster(self._words(pictures), offsets, heights, widths), sizes)

    def _words(self, pictures: Sequence[AnyPicture]) -> Tensor:
        """All pixels on the device, in the order of `_SOURCES`."""
        on_device = [picture for picture in pictures if isinstance(picture, DevicePicture)]
        hosted = [picture for picture in pictures if isinstance(picture, Picture)]
        raw = [picture for picture in pictures if isinstance(picture, RawPicture)]
        parts = [self._engine.to_device(self._staged(hosted))] if hosted else []
        # Page-locked where the engine could do so: the copies run beside the host's work, and are done before any
        # result of theirs can come back, which is before the buffer may be unmapped.
        parts += [self._engine.to_device(_as_tensor(picture)) for picture in raw]
        parts += [packed_words(on_device)] if on_device else []
        # On a CPU the copy is what keeps the pages as they are, whatever the client does to its memory meanwhile.
        return parts[0] if len(parts) == 1 and not raw else torch.cat(parts)

    def _staged(self, pictures: Sequence[Picture]) -> Tensor:
        ends = np.cumsum([math.prod(picture.size_px) for picture in pictures])
        staging = self._engine.staging(int(ends[-1]), torch.int32)
        list(self._pool.map(Picture.copy_to, pictures, np.split(staging.numpy(), ends[:-1])))
        return staging

    def _open(self, body: bytes | memoryview) -> Opened | RawPicture | Failure:
        """One body; what a page does wrong stays with that page."""
        try:
            return read_raw(body, self._settings) if isinstance(body, memoryview) else open_image(body, self._settings)
        except PageError as error:
            return error.failure


def _load(page: Opened | RawPicture | Failure) -> Picture | RawPicture | Failure:
    try:
        return Picture(load_image(page.image)) if isinstance(page, Opened) else page
    except PageError as error:
        return error.failure


def _as_tensor(picture: RawPicture) -> Tensor:
    """The words of a raw picture where they lie; not to be written to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has no read-only tensors, and says so
        return torch.from_numpy(picture.words)
