"""Bad and odd input, end to end: the bulk client, the real service, the real chain; and the table that says so."""

from __future__ import annotations

import json
import re

import pytest
from quintet_client.input.page_ids import page_id_of

from tests.client.inputs.bad_pages import TEXT, drawn, encoded, write_bodies, write_documents, write_what_is_no_file
from tests.client.reading import answers, assert_adds_up, read, rows
from tests.conftest import ROOT
from tests.fuzz.serving import peak_mb, worker_pids

pytestmark = pytest.mark.slow
# Read as a viewer shows them.
READABLE = {
    "BMP of negative height",
    "TIFF with absurd tags",
    "CMYK JPEG",
    "16-bit grey PNG",
    "palette PNG with transparency",
    "animated GIF",
    "JPEG 2000",
    "AVIF turned by irot",
    "HEIF turned by irot",
    "HEIF called .jpg",
    "animated PNG",
    "animated WebP",
    "JPEG called .tif",
    "page 1 of a TIFF",
    "page 2 of a TIFF",
    "page 1 of a TIFF that is cut in page 2",
    "page of an encrypted PDF that asks for no password",
    "page 1 of a PDF",
    "JPEG turned by EXIF",
    "JPEG called .png",
    "name with a newline and no UTF-8",
    "page in a folder called folder.jpg",
    "`../` in a list of files",
}
# The networks and one batch of 400 megapixels, which the corpus does not fill.
MOST_WORKER_MB = 6000


def documented() -> dict[str, tuple[str, str]]:
    """State and code of each input as docs/reliability.md has them."""
    section = (ROOT / "docs" / "reliability.md").read_text("utf-8").split("## Bad input", 1)[1].split("\n## ", 1)[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line]
    return {cells[0]: (cells[1], cells[2].strip("`")) for cells in cells[2:]}


@pytest.fixture(scope="module")
def outcomes(service, tmp_path_factory) -> dict[str, tuple[dict, dict | None]]:
    """For each input of the corpus its row of the ledger and its answer, if there is one."""
    root = tmp_path_factory.mktemp("bad")
    (root / "in").mkdir()
    named = _ids(write_bodies(root / "in") | write_what_is_no_file(root / "in")) | write_documents(root / "in")
    where = ("--token-file", service.token_file)
    assert read(root / "in", root / "out", service.inference_url, *where) == 3
    assert_adds_up(root / "out")
    (root / "outside.png").write_bytes(encoded(drawn(), "PNG"))
    (root / "in" / "list.txt").write_text("../outside.png\nnowhere.png\nnul\0.png\n")
    assert read(root / "in" / "list.txt", root / "listed", service.inference_url, *where) == 3
    assert_adds_up(root / "listed")
    assert sorted(path.name for path in root.iterdir()) == ["in", "listed", "out", "outside.png"]
    listed = {
        "`../` in a list of files": "../outside.png",
        "missing file in a list": "nowhere.png",
        "NUL in a list of files": "nul\0.png",
    }
    return _found(root / "out", named) | _found(root / "listed", _ids(listed))


def _ids(named) -> dict[str, str]:
    return {title: page_id_of(name) for title, name in named.items()}


def _found(output, ids) -> dict[str, tuple[dict, dict | None]]:
    """Every row of an output by the name its input has in the table: nothing may be there besides."""
    known, read_pages = rows(output), {page: json.loads(body) for page, body in answers(output).items()}
    assert set(known) == set(ids.values())
    return {title: (known[page_id], read_pages.get(page_id)) for title, page_id in ids.items()}


def test_each_bad_input_ends_as_the_table_of_reliability_says(outcomes):
    assert {title: (row["state"], row["code"]) for title, (row, _) in outcomes.items()} == documented()


def test_odd_but_sound_input_is_read_as_a_viewer_shows_it(outcomes):
    texts = {title: page["text"] for title, (_, page) in outcomes.items() if page}
    assert {title: text for title, text in texts.items() if title in READABLE} == dict.fromkeys(READABLE, TEXT)


def test_a_failure_has_a_code_a_message_and_no_answer(outcomes):
    for title, (row, page) in outcomes.items():
        assert (page is None) == (row["state"] == "failed"), title
        assert bool(row["code"] and row["message"]) == (row["state"] == "failed"), title
        assert re.fullmatch("[A-Z_]*", row["code"]), title


def test_the_worker_that_saw_all_of_it_lives_and_took_no_more_memory_than_a_batch_may(service, outcomes):
    assert {row["code"] for row, _ in outcomes.values()}.isdisjoint({"WORKER_DIED", "OUT_OF_MEMORY", "TIMEOUT"})
    assert max(peak_mb(pid) for pid in worker_pids(service)) < MOST_WORKER_MB
