"""JPEGs decoded where the chain computes, a batch in one call; what is not plainly decodable there goes to the host.

On CUDA that is nvJPEG behind torchvision, on a CPU libjpeg behind torchvision, which is how the tests run this code.
The latter's pixels are Pillow's. The former's are not, to the last bit: nvJPEG repeats the colour of a subsampled block
where libjpeg smooths it. So the decoder, like engine and number format, is not part of the fingerprint: it is one more
way to compute the same answer, and black on white has no colour to smooth.
"""

import io
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from quintet.engine.engine import Engine
from quintet.errors import SettingsError
from quintet.pixels.codec_processes import EncodedPage
from quintet.pixels.images import Opened

logger = logging.getLogger(__name__)

# Mean difference from Pillow on smooth pictures, in 255ths: rounding and chroma stay far below, a picture that was not
# decoded far above.
_TOLERANCE = 4.0
# A4 at 150 dpi, in a batch that is large enough for a decoder of batches.
_USUAL_PX, _USUAL_PAGES = (1240, 1754), 16


@dataclass(frozen=True)
class DevicePicture:
    """One decoded page on the device."""

    planes: Tensor  # (3, H, W) uint8, RGB

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        return self.planes.shape[2], self.planes.shape[1]


DeviceJpeg = Callable[[Sequence[Opened | EncodedPage]], list[DevicePicture] | None]


def decode_on_device(engine: Engine, pages: Sequence[Opened | EncodedPage]) -> list[DevicePicture] | None:
    """Decode plain JPEGs, as `jpeg_markers.is_plain` has it, in one call.

    The caller bounds their pixels, at 3 bytes each. None where torchvision has no decoder, or it refuses, since it does
    not say which page it means.
    """
    if not pages:
        return []
    # The decoder writes on a stream of its own, and into memory that work still queued on ours may be reading
    # (pytorch/vision issue 9606, seen on an H100): so that work has to be over. The last batch's results are on
    # the host by now, hence there is next to nothing to wait for.
    engine.settle()
    encoded = [torch.frombuffer(bytearray(page.body), dtype=torch.uint8) for page in pages]
    try:
        from torchvision.io import ImageReadMode, decode_jpeg  # noqa: PLC0415 - announced to leave torchvision

        with warnings.catch_warnings():
            # torchvision 0.29 says at every call that TorchCodec will take its place.
            warnings.simplefilter("ignore", DeprecationWarning)
            planes = decode_jpeg(encoded, mode=ImageReadMode.RGB, device=engine.device)
    except (ImportError, RuntimeError) as error:
        logger.warning("the device refused a batch of %d JPEGs, the host takes them: %s", len(pages), error)
        return None
    pictures = [DevicePicture(one) for one in planes]
    return pictures if [one.size_px for one in pictures] == [page.size_px for page in pages] else None


def choose_device_jpeg(
    asked: str, engine: Engine, seconds_a_page: Callable[[DeviceJpeg | None], float]
) -> DeviceJpeg | None:
    """The decoder on the engine's device, or None where the host decodes everything.

    The setting `auto` is the device on CUDA, where its decoder works and is the faster one, and the host elsewhere.

    Args:
        asked: the setting.
        engine: whose device it is.
        seconds_a_page: what a usual page takes with a decoder on the device, or on the host.

    Raises:
        SettingsError: `device` is asked for, and there is no decoder, or it does not see what Pillow sees.
    """
    if asked == "host" or (asked == "auto" and engine.device.type != "cuda"):
        return None
    decoder = partial(decode_on_device, engine)
    fault = _fault_of(decoder)
    if asked == "device":
        if fault:
            raise SettingsError(f"setting jpeg is 'device', but {fault}: set it to auto or host")
        return decoder
    if fault:
        logger.warning("JPEGs are decoded on the host: %s", fault)
        return None
    on_device, on_host = seconds_a_page(decoder), seconds_a_page(None)
    chosen = "device" if on_device < on_host else "host"
    figures = (1e3 * on_device, 1e3 * on_host, chosen)
    logger.info("the JPEG of a page takes %.2f ms on the device and %.2f ms on the host: the %s decodes", *figures)
    return decoder if chosen == "device" else None


def packed_words(pictures: Sequence[DevicePicture]) -> Tensor:
    """Pixels of all pictures end to end, row by row, one 32-bit word each as `Raster` has them: (S,) int32."""
    channels = torch.cat([picture.planes.reshape(3, -1) for picture in pictures], dim=1)
    words = torch.empty(channels.shape[1], dtype=torch.int32, device=channels.device)
    words.view(torch.uint8).view(-1, 4)[:, :3] = channels.T
    return words


def _fault_of(decoder: DeviceJpeg) -> str | None:
    """What is wrong with a decoder, by pictures whose pixels Pillow knows; None if nothing is.

    A hardware decoder has been seen to say that it decoded a batch and to leave pictures out
    (MrNeRF/LichtFeld-Studio, pull request 1924, on an RTX 50): their memory would be read as pages.
    """
    pages = _known_pages()
    found = decoder(pages)
    if found is None:
        return "torchvision's JPEG decoder refuses plain pictures"
    for page, picture in zip(pages, found, strict=True):
        expected = torch.from_numpy(np.array(page.image.convert("RGB"))).permute(2, 0, 1)
        difference = (picture.planes.cpu().float() - expected.float()).abs().mean().item()
        if difference > _TOLERANCE:
            return f"torchvision's JPEG decoder gives pixels that are {difference:.0f} of 255 from Pillow's"
    return None


def _known_pages() -> list[Opened]:
    """Smooth pictures in the codings of plain JPEGs, of even and odd sizes, several of each."""
    rows, columns = np.mgrid[0:1:199j, 0:1:311j]
    smooth = np.stack([255 * rows, 255 * columns, 255 * (1 - rows * columns)], axis=2).astype(np.uint8)
    colour = Image.fromarray(smooth)
    kinds: tuple[tuple[str, dict[str, int]], ...]
    kinds = (*(("RGB", {"subsampling": number}) for number in (2, 0, 1)), ("L", {}))
    pages = []
    for number, (mode, options) in enumerate(kinds * 4):
        body = io.BytesIO()
        turned = colour.convert(mode).rotate(90 * (number // len(kinds)), expand=True)
        turned.resize((turned.width + number, turned.height)).save(body, "JPEG", quality=90, **options)
        pages.append(Opened(body.getvalue(), Image.open(body, formats=("JPEG",))))
    return pages


def draw_usual_jpegs(most_pixels: int) -> list[bytes]:
    """A batch of pages of text, or of parts with at most so many pixels, by which decoders are compared."""
    page = Image.new("RGB", _USUAL_PX, "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(24)
    for top in range(80, page.height - 80, 36):
        pen.text((80, top), "Quintet reads this page before it reads yours, and then forgets it again.", "black", font)
    body = io.BytesIO()
    page.crop((0, 0, page.width, max(1, min(page.height, most_pixels // page.width)))).save(body, "JPEG", quality=85)
    return [body.getvalue()] * _USUAL_PAGES
