from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from PIL import Image
from quintet.errors import SettingsError
from quintet.pages.settings import Settings
from quintet.pixels.images import most_decode_bytes, open_image
from quintet.pixels.worker_memory import WorkerMemory

from tests.conftest import encode
from tests.heif import heif_of

GB = 1_000_000_000
OPERATIONS = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


def test_the_default_worker_of_two_cores_and_its_front_end_fit_a_machine_of_16_gb() -> None:
    front_end = 3 * GB  # its heap of 2 GiB, and what Java has beside it
    assert WorkerMemory.planned(Settings(), threads=2).total + front_end < 13 * GB


@pytest.mark.parametrize("spare", [0, GB])
def test_a_given_ceiling_is_shared_out_to_the_byte_and_decoding_has_what_the_rest_leaves(spare: int) -> None:
    needed = WorkerMemory.planned(Settings(), threads=2)
    shared = WorkerMemory.planned(Settings(max_worker_bytes=needed.total + spare), threads=2)
    assert shared.total == needed.total + spare
    assert shared == dataclasses.replace(needed, decoding=needed.decoding + spare)


def test_a_ceiling_too_low_for_the_largest_page_stops_the_start_and_says_what_is_needed() -> None:
    needed = WorkerMemory.planned(Settings(), threads=2)
    with pytest.raises(SettingsError, match=str(needed.total)):
        WorkerMemory.planned(Settings(max_worker_bytes=needed.total - 1), threads=2)
    fewer = Settings(max_worker_bytes=needed.total - 1, batch_pixels=Settings().batch_pixels // 2)
    assert WorkerMemory.planned(fewer, threads=2).total == needed.total - 1


def test_the_parts_are_documented_with_their_sizes() -> None:
    section = OPERATIONS.read_text("utf-8").partition("## Memory of a worker")[2].partition("\n## ")[0]
    documented = [int(cell.replace(",", "")) for cell in re.findall(r"\| ([\d,]+) \|", section)]
    planned = WorkerMemory.planned(Settings(), threads=2)
    assert documented == [round(part / 1_000_000) for part in (*dataclasses.astuple(planned), planned.total)]


KINDS = [
    *(("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
    *(("PNG", mode) for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "I;16")),
    *(("TIFF", mode) for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16")),
    *(("WEBP", mode) for mode in ("L", "RGB", "RGBA")),
    *(("BMP", mode) for mode in ("1", "L", "P", "RGB")),
    *(("GIF", mode) for mode in ("L", "P", "RGBA")),
    *(("JPEG2000", mode) for mode in ("L", "RGB", "RGBA", "I;16")),
    *(("AVIF", mode) for mode in ("L", "RGBA")),
    *(("HEIF", mode) for mode in ("L", "RGBA")),
]


@pytest.mark.parametrize(("form", "mode"), KINDS)
def test_the_largest_page_of_every_kind_fits_what_decoding_has(form: str, mode: str) -> None:
    page = Image.new("L", (1000, 400), 255)
    page = page.convert("I").convert("I;16") if mode == "I;16" else page.convert(mode)
    body = heif_of(page) if form == "HEIF" else encode(page, form)
    limits = Settings(max_page_pixels=400_000, max_body_bytes=len(body))
    assert open_image(body, limits).decode_bytes <= most_decode_bytes(limits)
