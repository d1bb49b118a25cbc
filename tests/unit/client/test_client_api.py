"""The typed page, and what importing the client costs."""

import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from quintet_client.api.images import load
from quintet_client.api.results import document_of, result_of
from quintet_client.errors import PageError
from quintet_client.service.outcomes import Answered, TryFailed, outcome_of

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


@pytest.mark.parametrize("command", [(), ("read",), ("status",), ("view",), ("export",), ("batch",)])
def test_no_help_imports_what_only_reading_or_writing_needs(command):
    script = (
        "import sys, quintet_client.cli\n"
        "try: quintet_client.cli.main([*sys.argv[1:], '--help'])\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        "sys.exit(str({'torch', 'torchvision', 'numpy', 'PIL', 'pyarrow', 'ray', 'obstore'} & sys.modules.keys()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(CLIENT_ROOT)}
    done = subprocess.run([sys.executable, "-c", script, *command], env=environment, capture_output=True, check=False)
    assert done.stderr == b"set()\n"


ERROR = {"code": "PAGE_NOT_RENDERED", "message": "damaged", "request_id": "r1.2"}
PAGES = [{"page": 1, "result": DOCUMENT | {"request_id": "r1.1"}}, {"page": 2, "error": ERROR}]
LETTER = {"schema": "quintet.document/1", "request_id": "r1", "model": "m", "page_count": 7, "pages": PAGES}


def test_a_document_is_its_pages_as_results_and_errors_under_their_numbers():
    document = document_of(answered(LETTER))
    assert (document.request_id, document.model, document.page_count) == ("r1", "m", 7)
    (first, page), (second, error) = document.pages
    assert (first, second) == (1, 2)
    assert page == result_of(Answered(json.dumps(DOCUMENT).encode(), "m", "r1.1"))
    assert (error.code, error.message, error.request_id) == tuple(ERROR.values())
    assert pickle.loads(pickle.dumps(document)).pages[0] == document.pages[0]


def test_an_image_is_a_document_of_one_page():
    document = document_of(answered(DOCUMENT))
    assert document.page_count == 1
    ((number, page),) = document.pages
    assert (number, page) == (1, result_of(answered(DOCUMENT)))


def test_pages_of_another_schema_stay_as_they_are():
    photo = {"schema": "quintet.photo/1", "model": "m", "faces": []}
    assert document_of(answered(LETTER | {"pages": [{"page": 1, "result": photo}]})).pages == ((1, photo),)


@pytest.mark.parametrize(
    "broken",
    [
        {"pages": None},
        {"pages": [1]},
        {"page_count": "7"},
        {"pages": [{"page": 0, "error": ERROR}]},
        {"pages": [{"page": 1}]},
        {"pages": [{"page": 1, "error": {"code": 5, "message": "x"}}]},
        {"pages": [{"page": 1, "result": {"schema": "quintet.page/1", "model": "m"}}]},
        {"pages": [{"page": 1, "result": LETTER}]},
    ],
)
def test_a_document_of_another_form_is_no_answer(broken):
    assert isinstance(outcome_of(200, {}, json.dumps(LETTER).encode()), Answered)
    came = outcome_of(200, {}, json.dumps(LETTER | broken).encode())
    assert isinstance(came, TryFailed)
    assert came.code == "BAD_ANSWER"


PIXELS = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "RGBA", "LA", "P", "I;16"])
def test_pictures_are_sent_without_loss(mode):
    picture = Image.fromarray(PIXELS).convert("L" if mode == "I;16" else mode)
    picture = picture.convert(mode)
    sent = Image.open(io.BytesIO(load(picture)))
    assert np.array_equal(np.asarray(sent.convert("RGBA")), np.asarray(picture.convert("RGBA")))


def test_arrays_and_views_of_them_are_sent_without_loss():
    for array in (PIXELS, PIXELS[::2, ::-1]):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(load(array)))), array)


def test_a_picture_is_sent_as_it_lies_whatever_its_file_said_of_turning_it():
    turned, target = Image.Exif(), io.BytesIO()
    turned[0x0112] = 6
    Image.fromarray(PIXELS).save(target, "JPEG", exif=turned)
    sent = Image.open(io.BytesIO(load(Image.open(target))))
    assert (sent.size, dict(sent.getexif())) == ((7, 5), {})


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (PIXELS[..., 0], "an array of 5 x 7 and uint8; give height x width x 3 of uint8, in RGB"),
        (PIXELS.astype(float), "5 x 7 x 3 and float64"),
        (PIXELS[:0], "0 x 7 x 3"),
        (PIXELS.transpose(2, 0, 1), "3 x 5 x 7"),
    ],
)
def test_an_array_of_another_form_is_a_pages_error(array, words):
    with pytest.raises(PageError, match=words) as caught:
        load(array)
    assert caught.value.code == "UNSUPPORTED_FORMAT"
