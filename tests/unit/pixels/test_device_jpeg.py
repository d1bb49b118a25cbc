"""JPEGs on the engine's device: which ones it takes, and what it makes of them beside Pillow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from quintet.errors import Code, Failure, SettingsError
from quintet.pages.settings import Settings
from quintet.pixels.codec_processes import CodecProcesses
from quintet.pixels.decoder import Decoder, HostPicture
from quintet.pixels.device_jpeg import DeviceJpeg, DevicePicture, choose_device_jpeg, packed_words
from quintet.pixels.images import decode_image, open_image

from tests.conftest import draw_page, encode

PAGE = draw_page(["one page"], (331, 203))
GREY = PAGE.convert("L")
NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (45, 67, 3), dtype=np.uint8)).resize((149, 101))
ON_DEVICE, ON_HOST = Settings(jpeg="device"), Settings(jpeg="host")


class CpuEngine:
    """What the decoder needs of an engine."""

    device = torch.device("cpu")
    threads = 2

    def __init__(self) -> None:
        self.settled = 0

    def settle(self) -> None:
        self.settled += 1

    def to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def pin(self, _memory: memoryview) -> bool:
        return False


class OnCuda(CpuEngine):
    """The same on a device that says it is CUDA."""

    device = torch.device("cuda")


def no_time(_decoder: DeviceJpeg | None) -> float:
    raise AssertionError("nothing is to be compared")


def decoder(settings: Settings = ON_DEVICE) -> Decoder:
    return Decoder(CpuEngine(), settings)


def is_plain(body: bytes) -> bool:
    return open_image(body, Settings()).is_plain_jpeg


def turned(exif_orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = exif_orientation
    return exif


def pixels_of(pages, number: int) -> np.ndarray:
    """One page of a batch as (H, W, 3)."""
    (width, height), begin = pages.sizes_px[number].tolist(), int(pages.pixels.offsets[number])
    words = pages.pixels.values[begin : begin + width * height]
    return words.view(torch.uint8).view(height, width, 4)[..., :3].numpy()


PLAIN = {
    "baseline": encode(PAGE, "JPEG"),
    "4:4:4": encode(NOISE, "JPEG", subsampling=0),
    "4:2:2": encode(NOISE, "JPEG", subsampling=1),
    "4:2:0 of odd sides": encode(NOISE, "JPEG", subsampling=2),
    "grey": encode(GREY, "JPEG"),
    "not turned by exif": encode(PAGE, "JPEG", exif=turned(1)),
    "with restarts": encode(PAGE, "JPEG", restart_marker_rows=1),
}
NOT_PLAIN = {
    "png": encode(PAGE),
    "progressive": encode(PAGE, "JPEG", progressive=True),
    "turned by exif": encode(PAGE, "JPEG", exif=turned(6)),
    "cmyk": encode(PAGE.convert("CMYK"), "JPEG"),
    "adobe rgb": encode(PAGE, "JPEG", subsampling=0, keep_rgb=True),
    "cut": encode(PAGE, "JPEG")[:-30],
    "bytes behind its end": encode(PAGE, "JPEG") + b"\0",
    "arithmetic": encode(PAGE, "JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1),
    "extended": encode(PAGE, "JPEG").replace(b"\xff\xc0", b"\xff\xc1", 1),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_jpeg_is_for_the_device(kind: str) -> None:
    assert is_plain(PLAIN[kind])


@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_anything_else_is_for_the_host(kind: str) -> None:
    assert not is_plain(NOT_PLAIN[kind])


def test_a_batch_of_all_kinds_has_pillows_pixels_page_by_page() -> None:
    bodies = [body for pair in zip(PLAIN.values(), NOT_PLAIN.values(), strict=False) for body in pair]
    read = decoder()
    decoded = read(read.open(bodies))
    kept = [(body, picture) for body, picture in zip(bodies, decoded, strict=True) if not isinstance(picture, Failure)]
    assert sum(isinstance(picture, DevicePicture) for _, picture in kept) == len(PLAIN)
    assert sum(isinstance(picture, HostPicture) for _, picture in kept) >= 5
    pages = read.to_images([picture for _, picture in kept])
    for number, (body, _) in enumerate(kept):
        expected = np.asarray(decode_image(body, Settings()), int)
        assert np.abs(pixels_of(pages, number) - expected).max() <= 1  # both are libjpeg-turbo, perhaps of two versions


def test_failures_are_the_same_wherever_jpegs_are_decoded() -> None:
    bodies = [
        *NOT_PLAIN.values(),
        *PLAIN.values(),
        b"",
        b"no image",
        encode(Image.new("RGB", (1, 1)), "JPEG"),
        encode(PAGE, "JPEG")[:200],
    ]

    def failures(settings: Settings) -> list[tuple[int, Code]]:
        read = decoder(settings)
        return [(n, one.code) for n, one in enumerate(read(read.open(bodies))) if isinstance(one, Failure)]

    assert failures(ON_DEVICE) == failures(ON_HOST)
    assert Code.IMAGE_TOO_SMALL in dict(failures(ON_DEVICE)).values()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_exif_block_changes_nothing() -> None:
    body = encode(PAGE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    read = decoder()
    pages = read.to_images(read(read.open([body])))
    assert np.array_equal(pixels_of(pages, 0), np.asarray(decode_image(body, Settings())))


def test_limits_hold_before_anything_is_decoded() -> None:
    read = decoder(Settings(jpeg="device", max_page_pixels=331 * 203 - 1))
    (failure,) = read.open([PLAIN["baseline"]])
    assert isinstance(failure, Failure)
    assert failure.code is Code.IMAGE_TOO_LARGE


def test_one_jpeg_that_the_device_refuses_leaves_its_neighbours_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    read = decoder()
    poison = PLAIN["4:4:4"]

    def refuses(bodies: list[torch.Tensor], **_: Any) -> list[torch.Tensor]:
        raise RuntimeError("Failed to decode batch: 5")

    monkeypatch.setattr(torchvision.io, "decode_jpeg", refuses)
    decoded = read(read.open([PLAIN["baseline"], poison, PLAIN["grey"]]))
    assert [type(picture) for picture in decoded] == [HostPicture] * 3
    pages = read.to_images(decoded)
    assert np.array_equal(pixels_of(pages, 0), np.asarray(decode_image(PLAIN["baseline"], Settings())))


def test_a_jpeg_cut_before_its_end_marker_stands_alone_with_its_failure() -> None:
    body = PLAIN["baseline"]
    cut = body[: len(body) // 2] + b"\xff\xd9"  # plain to its first and last bytes
    assert is_plain(cut)
    read = decoder()
    decoded = read(read.open([body, cut, PLAIN["grey"]]))
    on_host = decoder(ON_HOST)
    (expected,) = on_host(on_host.open([cut]))
    assert isinstance(decoded[1], Failure) == isinstance(expected, Failure)
    assert not isinstance(decoded[0], Failure)
    assert not isinstance(decoded[2], Failure)


def test_what_the_device_calls_another_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    read = decoder()
    monkeypatch.setattr(torchvision.io, "decode_jpeg", lambda *_, **__: [torch.zeros(3, 8, 8, dtype=torch.uint8)])
    assert isinstance(read(read.open([PLAIN["baseline"]]))[0], HostPicture)


def test_the_device_is_waited_for_once_a_batch() -> None:
    engine = CpuEngine()
    read = Decoder(engine, ON_DEVICE)
    before = engine.settled
    read(read.open([*PLAIN.values()]))
    assert engine.settled - before == 1


def test_a_decoder_that_leaves_pictures_out_is_found_out_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(bodies: list[torch.Tensor], **options: Any) -> list[torch.Tensor]:
        first, *rest = decode(bodies, **options)
        return [first, *map(torch.zeros_like, rest)]

    decode = torchvision.io.decode_jpeg
    monkeypatch.setattr(torchvision.io, "decode_jpeg", forgetful)
    with pytest.raises(SettingsError, match="pixels that are"):
        choose_device_jpeg("device", CpuEngine(), no_time)


def test_where_there_is_no_decoder_auto_is_the_host_and_device_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torchvision.io, "decode_jpeg")
    assert choose_device_jpeg("auto", OnCuda(), no_time) is None
    with pytest.raises(SettingsError, match="jpeg"):
        choose_device_jpeg("device", OnCuda(), no_time)


@pytest.mark.parametrize(("device_s", "faster"), [(0.016, DevicePicture), (0.32, HostPicture)])
def test_auto_is_the_faster_one_and_the_log_says_both_figures(
    device_s: float, faster: type, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By a clock on which a batch takes the device as long as is said, and a page the host 10 ms."""
    clock, decode, load = [0.0], torchvision.io.decode_jpeg, CodecProcesses.load

    def on_device(bodies: list[torch.Tensor], device: torch.device, **options: Any) -> list[torch.Tensor]:
        assert device.type == "cuda"
        clock[0] += device_s
        return decode(bodies, **options)

    def on_host(*arguments: Any) -> Any:
        clock[0] += 0.01
        return load(*arguments)

    monkeypatch.setattr(torchvision.io, "decode_jpeg", on_device)
    monkeypatch.setattr(CodecProcesses, "load", on_host)
    monkeypatch.setattr("quintet.pixels.decoder.perf_counter", lambda: clock[0])
    with caplog.at_level("INFO"):
        read = Decoder(OnCuda(), Settings(decode_threads=1))
    assert isinstance(read(read.open([PLAIN["baseline"]]))[0], faster)
    assert f"{1000 * device_s / 16:.2f} ms on the device and 10.00 ms on the host" in caplog.text


def test_where_the_limits_allow_no_usual_page_auto_is_the_host() -> None:
    assert Decoder(OnCuda(), Settings(max_body_bytes=100))._device_jpeg is None


@pytest.mark.parametrize("asked", ["auto", "host"])
def test_on_a_cpu_the_host_decodes_unless_told_otherwise(asked: str) -> None:
    assert choose_device_jpeg(asked, CpuEngine(), no_time) is None


def test_words_hold_the_three_planes_in_the_order_of_the_pages() -> None:
    planes = [torch.randint(0, 256, (3, height, width), dtype=torch.uint8) for height, width in ((2, 3), (4, 1))]
    words = packed_words([DevicePicture(one) for one in planes])
    expected = torch.cat([(one[0].int() | one[1].int() << 8 | one[2].int() << 16).view(-1) for one in planes])
    assert torch.equal(words & 0xFFFFFF, expected)


def test_where_jpegs_are_decoded_is_not_part_of_the_fingerprint() -> None:
    assert ON_DEVICE.fingerprint() == ON_HOST.fingerprint() == Settings(graphs="captured").fingerprint()
