"""Text detection looks closer at pages whose text is small."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from quintet.errors import Failure
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings

from benchmarks.sample_pages.generate import main as generate
from tests.conftest import encode


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A usual page, and a sheet of four of them whose text is half as high."""
    folder = tmp_path_factory.mktemp("pages")
    generate([str(folder), "--pages", "4", "--seed", "91", "--kinds", "letter", "article", "--dense"])
    drawn = [Image.open(io.BytesIO(path.read_bytes())) for path in sorted(folder.glob("page-*"))]
    width, height = (max(sizes) for sizes in zip(*(page.size for page in drawn), strict=True))
    sheet = Image.new("RGB", (2 * width, 2 * height), "white")
    for number, page in enumerate(drawn):
        sheet.paste(page, (number % 2 * width, number // 2 * height))
    return min(folder.glob("page-*")).read_bytes(), encode(sheet)


def lines(chain: PageChain, bodies: list[bytes]) -> list[list[dict[str, Any]]]:
    results = chain(bodies)
    assert not any(isinstance(result, Failure) for result in results)
    return [result["lines"] for result in results if not isinstance(result, Failure)]


def test_small_text_is_looked_at_closer_and_no_neighbour_with_it(
    chain: PageChain, model_store: Path, pages: tuple[bytes, bytes]
) -> None:
    usual, small = pages
    (near,) = lines(PageChain(Settings(detection_first_side_px=1280), model_store), [small])
    (far,) = lines(PageChain(Settings(detection_small_text_px=0), model_store), [small])
    assert lines(chain, [usual, small, usual]) == [alone := lines(chain, [usual])[0], near, alone]
    assert near != far
