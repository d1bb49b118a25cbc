"""Results that are no pages, of the real service around another chain: kept, exported and shown for what they are."""

import json

import pytest
from PIL import Image
from quintet_client import QuintetClient
from quintet_client.cli import main

from tests.client.exports.exporting import export, exported
from tests.client.reading import answers, assert_adds_up, read
from tests.client.viewer.test_viewer_server import get, viewing


@pytest.fixture
def run(echo, folder, output):
    """Three images, read by a chain that answers in echo/1."""
    for number in range(3):
        Image.new("RGB", (40, 30 + number), (90, 120, 10 * number)).save(folder / f"shot{number}.png")
    assert read(folder, output, echo.inference_url, "--token-file", echo.token_file) == 0
    assert assert_adds_up(output)["model"] == "echo"
    return output


def test_the_python_client_gives_them_as_json(echo):
    with QuintetClient(echo.inference_url, echo.token_file) as client:
        found = client.read(b"body")
        ((key, again),) = client.read_many([("k", b"body")])
    assert (found["schema"], found["bytes"], key) == ("echo/1", 4, "k")
    assert again["crc"] == found["crc"]
    assert again["request_id"] != found["request_id"]


@pytest.mark.parametrize("name", ["txt", "md", "hocr", "alto", "pdf", "parquet", "csv"])
def test_a_format_that_shows_pages_says_what_it_met_and_makes_nothing(run, caplog, name):
    assert export(run, name) == 7
    assert f"as {name}: it shows quintet.page/1, and shot0.png was read as echo/1; of that there" in caplog.text
    assert exported(run) == {}


def test_formats_asked_for_while_reading_cost_no_result(run, echo, folder, caplog):
    Image.new("L", (40, 40)).save(folder / "late.png")
    address = (echo.inference_url, "--token-file", echo.token_file)
    for _again in range(2):
        assert read(folder, run, *address, "--formats", "txt,csv") == 7
    assert "late.png could not be exported as txt" in caplog.text
    assert len(answers(run)) == assert_adds_up(run)["inputs"] == 4


def test_the_viewer_shows_picture_and_json_and_searches_names(run):
    with viewing(run) as url:
        found = get(url, "api/page", id="shot1.png").json()
        assert (found["schema"], found["page"], found["drawing"], found["no_picture"]) == ("echo/1", None, None, "")
        assert json.loads(found["raw"]) == json.loads(answers(run)["shot1.png"])
        assert get(url, "image", id="shot1.png").headers["Content-Type"] == "image/png"
        assert get(url, "thumbnail", id="shot1.png").headers["Content-Type"] == "image/jpeg"
        assert get(url, "api/run").json()["equation"] == "3 pages = 3 read + 0 failed"
        search = get(url, "api/search", q="shot1").json()
        assert (search["total"], search["has_text"]) == (1, False)


def test_the_report_shows_picture_and_json(run):
    assert main(["report", str(run)]) == 0
    text = (run / "report.html").read_text()
    assert text.count('<img class="page" alt="" src="data:image/jpeg') == text.count("read as echo/1") == 3
    assert "&quot;crc&quot;" in text
