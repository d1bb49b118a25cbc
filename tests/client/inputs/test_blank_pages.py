"""A blank page is not a failure, and a failure is never a blank page: the bulk client, the real service, its models."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.client.inputs.bad_pages import TEXT, drawn, encoded
from tests.client.reading import answers, assert_adds_up, read, report, rows

SIZE = (620, 877)


def grey(pixels: np.ndarray) -> bytes:
    return encoded(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), "PNG")


def blank_pages() -> dict[str, bytes]:
    dice = np.random.default_rng(4)
    shape = SIZE[::-1]
    shade = np.linspace(255, 225, shape[1])[None, :]
    scan = shade + dice.normal(0, 3, shape)
    for row, column in dice.integers(20, 600, (12, 2)):
        scan[row : row + 2, column : column + 2] = 90  # dust
    return {
        "white.png": encoded(Image.new("L", SIZE, 255), "PNG"),
        "white.jpg": encoded(Image.new("RGB", SIZE, "white"), "JPEG"),
        "black.png": encoded(Image.new("L", SIZE, 0), "PNG"),
        "transparent.png": encoded(Image.new("RGBA", SIZE, (0, 0, 0, 0)), "PNG"),
        "one-bit.tif": encoded(Image.new("1", SIZE, 1), "TIFF", compression="group4"),
        "noise.png": grey(dice.integers(0, 256, shape)),
        "empty-scan.png": grey(scan),
    }


FAILURES = {
    "nothing.png": (b"", "EMPTY_BODY"),
    "cut.png": (encoded(drawn(), "PNG")[:400], "IMAGE_DECODE_FAILED"),
    "other.png": (b"%!PS-Adobe and so on", "UNSUPPORTED_FORMAT"),
    "dot.png": (encoded(Image.new("L", (1, 1), 255), "PNG"), "IMAGE_TOO_SMALL"),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def read_here(service, folder, *options) -> int:
    output = folder.parent / "out"
    return read(folder, output, service.inference_url, "--token-file", service.token_file, *options)


def test_blank_pages_are_ok_and_say_nothing_while_failures_beside_them_have_codes_and_no_answer(service, folder):
    for name, body in {**blank_pages(), **{name: body for name, (body, _) in FAILURES.items()}}.items():
        (folder / name).write_bytes(body)
    (folder / "printed.png").write_bytes(encoded(drawn(), "PNG"))
    assert read_here(service, folder) == 3
    output = folder.parent / "out"
    counts = assert_adds_up(output)
    assert (counts["ok"], counts["failed"]) == (len(blank_pages()) + 1, len(FAILURES))
    read_pages = {name: json.loads(answer) for name, answer in answers(output).items()}
    assert read_pages.pop("printed.png")["text"] == TEXT
    assert {name: (page["lines"], page["text"]) for name, page in read_pages.items()} == dict.fromkeys(
        blank_pages(), ([], "")
    )
    known = rows(output)
    assert {name: (known[name]["state"], known[name]["code"]) for name in blank_pages()} == dict.fromkeys(
        blank_pages(), ("ok", "")
    )
    failed = {page: row["code"] for page, row in known.items() if row["state"] == "failed"}
    assert failed == {name: code for name, (_, code) in FAILURES.items()}


def test_a_page_that_fails_later_loses_its_earlier_answer_and_a_blank_one_replaces_it(service, folder):
    (folder / "page.png").write_bytes(encoded(drawn(), "PNG"))
    (folder / "other.png").write_bytes(encoded(drawn(), "PNG"))
    assert read_here(service, folder) == 0
    output = folder.parent / "out"
    assert set(answers(output)) == {"page.png", "other.png"}

    (folder / "page.png").write_bytes(encoded(drawn(), "PNG")[:400])
    assert read_here(service, folder) == 3
    assert set(answers(output)) == {"other.png"}
    assert rows(output)["page.png"]["code"] == "IMAGE_DECODE_FAILED"
    assert report(output)["errors"] == {"IMAGE_DECODE_FAILED": 1}

    (folder / "page.png").write_bytes(encoded(Image.new("L", SIZE, 255), "PNG"))
    assert read_here(service, folder) == 0
    assert json.loads(answers(output)["page.png"])["lines"] == []
    assert rows(output)["page.png"]["code"] == ""
