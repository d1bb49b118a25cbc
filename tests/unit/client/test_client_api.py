"""The typed page, and what importing the client costs."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet_client.api.results import result_of
from quintet_client.errors import PageError
from quintet_client.service.outcomes import Answered

CLIENT_ROOT = Path(__file__).parents[3] / "client"
DOCUMENT = {
    "schema": "quintet.page/1",
    "model": "m",
    "width_px": 1240,
    "height_px": 1754,
    "orientation": {"angle_deg": 90, "score": 0.99, "new_field": 1},
    "regions": [{"label": "table", "score": 0.93, "box_px": [0, 1, 2, 3], "cells": 12}],
    "lines": [
        {
            "text": "Total",
            "score": 0.9,
            "quad_px": [[0, 0], [4, 0], [4, 2], [0, 2]],
            "region": 0,
            "words": [{"text": "Total", "score": 0.9, "quad_px": [[1, 0], [3, 0], [3, 2], [1, 2]], "glyphs": 5}],
        },
        {"text": "12.50", "score": 0.8, "quad_px": [[0, 0], [4, 0], [4, 2], [0, 2]], "region": None},
    ],
    "tables": [{"region": 0, "rows": [[[0], []], [[], [1]]], "title": "a bill"}],
    "text": "Total\n12.50",
    "from_a_newer_server": [1, 2],
}


def answered(document):
    return Answered(json.dumps(document).encode(), "m", "r1")


def test_a_page_is_typed_and_new_fields_are_tolerated():
    page = result_of(answered(DOCUMENT))
    assert (page.width_px, page.height_px, page.request_id, page.model) == (1240, 1754, "r1", "m")
    assert (page.orientation.angle_deg, page.orientation.score) == (90, 0.99)
    assert page.regions[0].box_px == (0, 1, 2, 3)
    assert [line.region for line in page.lines] == [0, None]
    assert page.lines[0].quad_px[2] == (4, 2)
    (word,) = page.lines[0].words
    assert (word.text, word.score, word.quad_px[1], word.extra) == ("Total", 0.9, (3, 0), {"glyphs": 5})
    assert page.lines[1].words == ()
    (table,) = page.tables
    assert (table.region, table.rows, table.extra) == (0, (((0,), ()), ((), (1,))), {"title": "a bill"})
    assert page.extra == {"from_a_newer_server": [1, 2]}
    assert (page.orientation.extra, page.regions[0].extra, page.lines[0].extra) == ({"new_field": 1}, {"cells": 12}, {})


def test_an_empty_page_is_a_page():
    assert result_of(answered(DOCUMENT | {"lines": [], "regions": [], "tables": [], "text": ""})).lines == ()


def test_a_line_without_its_region_is_outside_of_all():
    line = {name: value for name, value in DOCUMENT["lines"][1].items() if name != "region"}
    assert result_of(answered(DOCUMENT | {"lines": [line], "tables": []})).lines[0].region is None


def test_a_page_without_tables_of_an_older_service_has_none():
    older = {name: value for name, value in DOCUMENT.items() if name != "tables"}
    assert result_of(answered(older)).tables == ()


def test_results_can_be_compared_hashed_and_sent_to_another_process():
    page = result_of(answered(DOCUMENT))
    assert page == pickle.loads(pickle.dumps(page))
    assert len({page, result_of(answered(DOCUMENT))}) == 1
    error = pickle.loads(pickle.dumps(PageError("EMPTY_BODY", "no bytes", "r7")))
    assert (str(error), error.code, error.request_id) == ("EMPTY_BODY: no bytes", "EMPTY_BODY", "r7")


LINE = DOCUMENT["lines"][0]


@pytest.mark.parametrize(
    "broken",
    [
        {"lines": None},
        {"lines": [[]]},
        {"lines": [LINE | {"quad_px": [[0, 0], [4, 0], [4, 2]]}]},
        {"lines": [LINE | {"quad_px": [[0, 0], [4, 0], [4, 2], [0, "2"]]}]},
        {"lines": [LINE | {"region": "0"}]},
        {"lines": [LINE | {"score": True}]},
        {"width_px": "wide"},
        {"width_px": 12.5},
        {"height_px": True},
        {"orientation": {}},
        {"regions": [{}]},
        {"regions": [{"label": "table", "score": 0.5, "box_px": [0, 1, 2]}]},
        {"text": None},
        {"tables": None},
        {"tables": [{"region": 0}]},
        {"tables": [{"region": 1, "rows": [[[0], [1]]]}]},
        {"tables": [{"region": -1, "rows": [[[0], [1]]]}]},
        {"tables": [{"region": 0, "rows": [[[0], [2]]]}]},
        {"tables": [{"region": 0, "rows": [[[0], [0]]]}]},
        {"tables": [{"region": 0, "rows": [[[0], [True]]]}]},
        {"tables": [{"region": 0, "rows": [["0", [1]]]}]},
        {"tables": [{"region": 0, "rows": [[[0], [1]], [[]]]}]},
        {"tables": [{"region": 0, "rows": [[[], []]]}]},
        {"tables": [{"region": 0, "rows": []}]},
        {"tables": [{"region": 0, "rows": [[[0]]]}, {"region": 0, "rows": [[[1]]]}]},
    ],
)
def test_an_answer_of_another_shape_is_a_typed_error(broken):
    with pytest.raises(PageError) as caught:
        result_of(answered(DOCUMENT | broken))
    assert (caught.value.code, caught.value.request_id) == ("BAD_ANSWER", "r1")


@pytest.mark.parametrize("missing", ["width_px", "height_px", "orientation", "regions", "lines", "text"])
def test_a_field_that_was_promised_and_is_missing_is_named(missing):
    with pytest.raises(PageError, match=f"has no {missing}"):
        result_of(answered({name: value for name, value in DOCUMENT.items() if name != missing}))


JSON = st.sampled_from([None, True, 0, -1, 2.5, "", "x", [], [0, 1], [[0, 1]] * 4, {}, [{}], [None], {"text": 1}])


@given(st.dictionaries(st.sampled_from(sorted(DOCUMENT.keys() - {"schema"})), JSON))
def test_whatever_an_answer_holds_it_is_a_page_or_a_typed_error(changed):
    try:
        page = result_of(answered({**DOCUMENT, **changed}))
    except PageError:
        return
    assert all(len(line.quad_px) == 4 for line in page.lines)


def test_importing_the_client_imports_no_torch():
    script = "import sys, quintet_client, quintet_client.cli; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(CLIENT_ROOT)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0
