"""Bytes to pixels on the device. Nothing else does that."""

import math
import mmap
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quintet.engine.engine import Engine
from quintet.errors import Code, Failure, PageError
from quintet.pixels.codec_messages import PageRange
from quintet.pixels.codec_processes import CodecProcesses, EncodedPage
from quintet.pixels.device_jpeg import DeviceJpeg, DevicePicture, choose_device_jpeg, draw_usual_jpegs, packed_words
from quintet.pixels.images import WORD_BYTES
from quintet.pixels.page_memory import BatchMemory, PageMemory
from quintet.pixels.raw_pictures import RawPicture, read_raw
from quintet.pixels.settings import ImageSettings
from quintet.pixels.worker_memory import WorkerMemory
from quintet.tensors.records import Images, Raster

# A process maps its page's part of a batch's memory, which begins where a page of memory does.
_ALIGNMENT_PIXELS = mmap.ALLOCATIONGRANULARITY // WORD_BYTES
# How often a batch is decoded to see how long that takes; the first time is what makes it warm.
_ROUNDS = 3


@dataclass(frozen=True)
class HostPicture:
    """One page that a codec has decoded into the memory of its batch, which on CUDA is the next batch's as well."""

    memory: PageMemory
    begin: int  # its first word
    size_px: tuple[int, int]  # width and height

    @property
    def words(self) -> NDArray[np.int32]:
        """(H x W,) int32."""
        return self.memory.words[self.begin : self.begin + self.size_px[0] * self.size_px[1]]


Body = bytes | memoryview | EncodedPage  # of a request; the last is a page of a document
AnyPage = EncodedPage | RawPicture | Failure
AnyPicture = HostPicture | RawPicture | DevicePicture
# Where the pixels of a batch come from, in the order in which they lie on the device.
_SOURCES = (HostPicture, RawPicture, DevicePicture)


class Decoder:
    """Decodes bodies in processes, straight into the memory that their batch is read from.

    Plain JPEGs are decoded on the device instead, where the setting `jpeg` says so.
    """

    def __init__(self, engine: Engine, settings: ImageSettings) -> None:
        self._engine = engine
        self._settings = settings
        decoding_bytes = WorkerMemory.planned(settings, engine.threads).decoding
        self._codecs = CodecProcesses(settings, decoding_bytes, settings.decode_s)
        self._pool = ThreadPoolExecutor(settings.decode_threads or engine.threads, thread_name_prefix="decode")
        self._memory = BatchMemory(engine, settings.batch_pixels)
        self._device_jpeg = choose_device_jpeg(settings.jpeg, engine, self._seconds_a_page)

    def open(self, bodies: Sequence[Body]) -> list[AnyPage]:
        """The header of each body, or why not; nothing is decoded yet. What comes as a memoryview is a raw picture."""
        return list(self._pool.map(self._open, bodies))

    def open_document(
        self, body: bytes, first: int, last: int, dpi: int
    ) -> tuple[int, dict[int, EncodedPage | Failure]] | Failure:
        """How many pages a document has, and those from `first` to `last` by number, together within the limits."""
        found = self._codecs.open_document(body, PageRange(first, last, self._settings.document_pages, dpi))
        if isinstance(found, Failure):
            return found
        count, pages = found
        ends = accumulate(0 if isinstance(page, Failure) else math.prod(page.size_px) for page in pages.values())
        most = self._settings.document_pixels
        message = f"the pages up to this one have more than {most} pixels: ask for fewer, or for fewer pixels an inch"
        beyond = Failure(Code.IMAGE_TOO_LARGE, message)
        placed = zip(pages.items(), ends, strict=True)
        return count, {number: page if end <= most else beyond for (number, page), end in placed}

    def __call__(self, pages: Sequence[AnyPage]) -> list[AnyPicture | Failure]:
        """The pixels of each page as a viewer shows them, or why not: the device and the host work side by side."""
        return self._decoded(pages, self._device_jpeg)

    def to_images(self, pictures: Sequence[AnyPicture]) -> Images:
        """Pictures as one batch on the device; their pixels together within `batch_pixels`."""
        sizes = torch.tensor([picture.size_px for picture in pictures], dtype=torch.int64).view(-1, 2)
        values, offsets = self._words(pictures, sizes.prod(dim=1))
        self._memory.copied()
        widths, heights, offsets = (self._engine.to_device(t) for t in (sizes[:, 0], sizes[:, 1], offsets))
        return Images(Raster(values, offsets, heights, widths), sizes)

    def _seconds_a_page(self, device_jpeg: DeviceJpeg | None) -> float:
        """What a usual page takes from its JPEG to pixels on the device, with a decoder there or on the host.

        Infinity where the limits allow no usual page.
        """
        pages = self.open(draw_usual_jpegs(self._settings.max_page_pixels))
        took = [math.inf]
        for _ in range(_ROUNDS):
            begin = perf_counter()
            pictures = [one for one in self._decoded(pages, device_jpeg) if not isinstance(one, Failure)]
            if not pictures:
                break
            self.to_images(pictures)
            self._engine.settle()
            took.append((perf_counter() - begin) / len(pictures))
        return min(took)

    def _decoded(self, pages: Sequence[AnyPage], device_jpeg: DeviceJpeg | None) -> list[AnyPicture | Failure]:
        encoded = [page for page in pages if isinstance(page, EncodedPage)]
        jpegs = [page for page in encoded if device_jpeg and page.is_plain_jpeg]
        plain = set(map(id, jpegs))
        on_host = self._load([page for page in encoded if id(page) not in plain], self._memory.take)
        pictures = device_jpeg(jpegs) if device_jpeg else []
        # If the device refuses them all go to the host, where each fails or succeeds by itself.
        on_device = iter([one.result() for one in self._load(jpegs, PageMemory)] if pictures is None else pictures)
        found = {id(page): next(on_device) if id(page) in plain else next(on_host).result() for page in encoded}
        return [found[id(page)] if isinstance(page, EncodedPage) else page for page in pages]

    def _words(self, pictures: Sequence[AnyPicture], counts: Tensor) -> tuple[Tensor, Tensor]:
        """All pixels on the device, and where each of (P,) pictures begins there."""
        hosted = [picture for picture in pictures if isinstance(picture, HostPicture)]
        if len(hosted) == len(pictures) and len({id(picture.memory) for picture in hosted}) == 1:
            # A CPU reads them where the codecs have written them.
            begins = torch.tensor([picture.begin for picture in hosted])
            words = hosted[0].memory.words[: int((begins + counts).amax())]
            return self._engine.to_device(_as_tensor(words)), begins
        order = torch.tensor([_SOURCES.index(type(picture)) for picture in pictures]).argsort(stable=True)
        ends = counts[order].cumsum(0)
        begins = torch.empty_like(counts).scatter_(0, order, ends - counts[order])
        # Raw pictures are page-locked where the engine could do so: the copies run beside the host's work, and are done
        # before any result of theirs can come back, which is before the buffer may be unmapped.
        in_order = [picture for kind in _SOURCES[:-1] for picture in pictures if isinstance(picture, kind)]
        parts = [self._engine.to_device(_as_tensor(picture.words)) for picture in in_order]
        on_device = [picture for picture in pictures if isinstance(picture, DevicePicture)]
        # On a CPU the copy is what keeps the pages as they are, whatever the client does to its memory meanwhile.
        return torch.cat([*parts, packed_words(on_device)] if on_device else parts), begins

    def _load(
        self, pages: Sequence[EncodedPage], take: Callable[[int], PageMemory]
    ) -> Iterator[Future[HostPicture | Failure]]:
        """Begin to decode pages into memory for so many words."""
        if not pages:
            return iter([])
        ends = list(accumulate(map(aligned_pixels, pages), initial=0))
        memory = take(ends[-1])
        places = zip(pages, ends, strict=False)
        return iter([self._pool.submit(self._decode, page, memory, begin) for page, begin in places])

    def _decode(self, page: EncodedPage, memory: PageMemory, begin: int) -> HostPicture | Failure:
        size_px = self._codecs.load(page, memory, begin)
        return size_px if isinstance(size_px, Failure) else HostPicture(memory, begin, size_px)

    def _open(self, body: Body) -> AnyPage:
        """One body; what a page does wrong stays with that page."""
        if isinstance(body, EncodedPage):
            return body
        try:
            return read_raw(body, self._settings) if isinstance(body, memoryview) else self._codecs.open(body)
        except PageError as error:
            return error.failure


def aligned_pixels(page: AnyPage) -> int:
    """How many words a page takes in the memory of its batch."""
    if isinstance(page, Failure):
        return 0
    return -(-page.size_px[0] * page.size_px[1] // _ALIGNMENT_PIXELS) * _ALIGNMENT_PIXELS


def _as_tensor(words: NDArray[np.int32]) -> Tensor:
    """Words where they lie; not to be written to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has no read-only tensors, and says so
        return torch.from_numpy(words)
