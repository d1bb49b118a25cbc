"""The typed page, and what importing the client costs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from quintet_client.api import parse_page
from quintet_client.errors import PageError
from quintet_client.outcomes import Answered

CLIENT_ROOT = Path(__file__).parents[2] / "client"
DOCUMENT = {
    "schema": "quintet.page/1",
    "model": "m",
    "width_px": 1240,
    "height_px": 1754,
    "orientation": {"angle_deg": 90, "score": 0.99, "new_field": 1},
    "regions": [{"label": "table", "score": 0.93, "box_px": [0, 1, 2, 3]}],
    "lines": [
        {"text": "Total", "score": 0.9, "quad_px": [[0, 0], [4, 0], [4, 2], [0, 2]], "region": 0},
        {"text": "12.50", "score": 0.8, "quad_px": [[0, 0], [4, 0], [4, 2], [0, 2]], "region": None},
    ],
    "text": "Total\n12.50",
    "from_a_newer_server": [1, 2],
}


def answered(document):
    return Answered(json.dumps(document).encode(), "m", "r1")


def test_a_page_is_typed_and_new_fields_are_tolerated():
    page = parse_page(answered(DOCUMENT))
    assert (page.width_px, page.height_px, page.angle_deg, page.request_id) == (1240, 1754, 90, "r1")
    assert page.regions[0].box_px == (0, 1, 2, 3)
    assert [line.region for line in page.lines] == [0, None]
    assert page.lines[0].quad_px[2] == (4, 2)
    assert page.document["from_a_newer_server"] == [1, 2]


def test_an_empty_page_is_a_page():
    assert parse_page(answered(DOCUMENT | {"lines": [], "regions": [], "text": ""})).lines == ()


@pytest.mark.parametrize("broken", [{"lines": None}, {"width_px": "wide"}, {"orientation": {}}, {"regions": [{}]}])
def test_an_answer_of_another_shape_is_a_typed_error(broken):
    with pytest.raises(PageError) as caught:
        parse_page(answered(DOCUMENT | broken))
    assert caught.value.code == "BAD_ANSWER"


def test_importing_the_client_imports_no_torch():
    script = "import sys, quintet_client.api, quintet_client.cli; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(CLIENT_ROOT)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0
