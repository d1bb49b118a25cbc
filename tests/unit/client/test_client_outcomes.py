"""Which answer of the server means which outcome."""

import json
import time
import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet_client.service.documents import check_page
from quintet_client.service.outcomes import (
    Answered,
    NotNow,
    PageFailed,
    TryFailed,
    Unauthorised,
    canonical_json,
    outcome_of,
    traced,
)


def ours(code):
    return json.dumps({"error": {"code": code, "message": "m", "request_id": "r"}}).encode()


def torchserve(status, kind, message="m"):
    return json.dumps({"code": status, "type": kind, "message": message}).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, ours("IMAGE_DECODE_FAILED"), PageFailed("IMAGE_DECODE_FAILED", "m", "r")),
        (400, ours("EMPTY_BODY"), PageFailed("EMPTY_BODY", "m", "r")),
        (413, ours("IMAGE_TOO_LARGE"), PageFailed("IMAGE_TOO_LARGE", "m", "r")),
        (422, ours("INVALID_PARAMETER"), PageFailed("INVALID_PARAMETER", "m", "r")),
        (413, b"", PageFailed("IMAGE_TOO_LARGE", "HTTP 413 without an explanation")),
        (400, torchserve(400, "BadRequestException"), PageFailed("BAD_REQUEST", "m")),
        (418, b"<html>", PageFailed("HTTP_418", "HTTP 418 without an explanation")),
        (401, ours("UNAUTHORISED"), Unauthorised("m")),
        (403, b"", Unauthorised("HTTP 403 without an explanation")),
        (400, torchserve(400, "InvalidKeyException"), Unauthorised("m")),
        (503, ours("BUSY"), NotNow("m", 2.0, busy=True, reached=True)),
        (503, torchserve(503, "ServiceUnavailableException"), NotNow("m", 2.0, busy=True, reached=True)),
        (429, b"", NotNow("HTTP 429 without an explanation", 2.0, busy=True, reached=True)),
        (500, ours("INFERENCE_FAILED"), TryFailed("INFERENCE_FAILED", "m", "r")),
        (500, torchserve(500, "InternalServerException", "Worker died."), TryFailed("WORKER_DIED", "Worker died.")),
        (507, torchserve(507, "X", "Worker died."), TryFailed("WORKER_DIED", "Worker died.")),
        (507, torchserve(507, "X", "CUDA out of memory"), TryFailed("OUT_OF_MEMORY", "CUDA out of memory")),
        (500, torchserve(500, "InternalServerException"), TryFailed("SERVER_ERROR", "m")),
        (504, b"", TryFailed("TIMEOUT", "HTTP 504 without an explanation")),
    ],
)
def test_each_answer_has_its_outcome(status, body, expected):
    assert outcome_of(status, {"Retry-After": "2"}, body) == expected


PAGE = {
    "schema": "quintet.page/1",
    "model": "m",
    "width_px": 9,
    "height_px": 9,
    "orientation": {"angle_deg": 0, "score": 1},
    "regions": [{"label": "text", "score": 0.5, "box_px": [0, 0, 9, 9]}],
    "lines": [{"text": "t", "score": 0.5, "quad_px": [[0, 0], [9, 0], [9, 9], [0, 9]], "region": 0}],
    "text": "t",
}
LINE = PAGE["lines"][0]


@pytest.mark.parametrize(
    "document",
    [
        PAGE | {"schema": "page"},
        PAGE | {"schema": "quintet.page/0"},
        PAGE | {"schema": 1},
        PAGE | {"model": ""},
        PAGE | {"model": {"a": "model"}},
        {name: value for name, value in PAGE.items() if name != "lines"},
        PAGE | {"width_px": 0},
        PAGE | {"height_px": 10**400},
        PAGE | {"orientation": {"angle_deg": 45, "score": 1}},
        PAGE | {"text": None},
        PAGE | {"lines": {"0": LINE}},
        PAGE | {"lines": [LINE | {"score": float("nan")}]},
        PAGE | {"lines": [LINE | {"score": float("inf")}]},
        PAGE | {"lines": [LINE | {"quad_px": [[0, 0], [9, 0], [9, 9], [0, 10**400]]}]},
        PAGE | {"lines": [LINE | {"quad_px": ["00", "90", "99", "09"]}]},
        PAGE | {"lines": [LINE | {"words": {"text": "t"}}]},
        PAGE | {"lines": [LINE | {"words": [{"text": "t", "score": 0.5}]}]},
        PAGE | {"lines": [LINE | {"words": [LINE | {"text": None}]}]},
        PAGE | {"regions": [{"label": "text", "score": 0.5, "box_px": "0099"}]},
        {"schema": "cars/1", "model": "m", "speed": float("-inf")},
    ],
    ids=lambda document: str(document)[:40],
)
def test_an_answer_that_is_no_document_of_the_service_is_refused(document):
    outcome = outcome_of(200, {}, json.dumps(document).encode())
    assert isinstance(outcome, TryFailed)
    assert outcome.code == "BAD_ANSWER"


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[1]",
        b"\xff\xfe",
        b"",
        json.dumps(PAGE).replace("0.5", "1e999").encode(),
        json.dumps(PAGE).replace("0.5", "1" * 5000).encode(),
        b'{"schema":"cars/1","model":"m","deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda body: str(body)[:20],
)
def test_bytes_that_are_no_json_document_are_refused(body):
    assert outcome_of(200, {}, body).code == "BAD_ANSWER"


def test_of_another_chains_answer_only_the_head_is_checked():
    assert isinstance(outcome_of(200, {}, b'{"schema": "cars/1", "model": "m", "lines": "none"}'), Answered)


def test_a_page_of_many_lines_is_checked_in_less_time_than_it_takes_to_parse_and_write_it():
    body = json.dumps(PAGE | {"lines": [LINE] * 3000}).encode()
    document = json.loads(body)

    def cpu_s(work):
        return min(timeit.repeat(work, number=3, repeat=5, timer=time.process_time))

    assert cpu_s(lambda: check_page(document)) < 0.8 * cpu_s(lambda: canonical_json(json.loads(body))), "a third"


@pytest.mark.parametrize("status", [302, 404, 405, 502])
def test_a_wrong_address_is_a_server_not_ready_and_fails_no_page(status):
    outcome = outcome_of(status, {}, torchserve(status, "ModelNotFoundException"))
    assert isinstance(outcome, NotNow)
    assert outcome.reached
    assert not outcome.busy


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("nan", 0.0), ("inf", 60.0), ("-1", 0.0), ("86400", 60.0), ("Mon, 1 Jan", 0.0)]
)
def test_retry_after_is_seconds_within_reason(header, seconds):
    assert outcome_of(503, {"Retry-After": header}, b"") == NotNow(
        "HTTP 503 without an explanation", seconds, busy=True, reached=True
    )


def test_equal_answers_are_equal_bytes_whatever_the_request():
    first = outcome_of(200, {}, b'{"schema": "s/1", "request_id": "1", "model": "m", "lines": []}')
    second = outcome_of(200, {}, b'{"lines":[],"model":"m","schema":"s/1","request_id":"2"}')
    assert isinstance(first, Answered)
    assert isinstance(second, Answered)
    assert first.document == second.document == b'{"lines":[],"model":"m","schema":"s/1"}\n'
    assert (first.request_id, second.request_id) == ("1", "2")


def test_an_outcome_keeps_the_id_it_was_told_and_otherwise_has_that_of_the_request():
    assert traced(outcome_of(400, {}, ours("EMPTY_BODY")), "sent") == PageFailed("EMPTY_BODY", "m", "r")
    died = outcome_of(500, {}, torchserve(500, "InternalServerException", "Worker died."))
    assert traced(died, "sent") == TryFailed("WORKER_DIED", "Worker died.", "sent")
    assert traced(NotNow("away"), "sent") == NotNow("away")


@given(st.integers(200, 599), st.binary(max_size=80))
def test_whatever_comes_has_an_outcome(status, body):
    assert outcome_of(status, {}, body) is not None


def test_a_message_is_one_bounded_line_of_valid_text():
    hostile = json.dumps({"error": {"code": "X\ud800", "message": "two\nlines \udc00 " + "x" * 9000}}).encode()
    outcome = outcome_of(400, {}, hostile)
    assert isinstance(outcome, PageFailed)
    assert (outcome.code + outcome.message).encode()
    assert "\n" not in outcome.message
    assert len(outcome.message) < 600


def test_text_that_has_no_utf8_survives_as_json():
    document = {"text": "lone \ud800 surrogate, é, 好"}
    assert json.loads(canonical_json(document).decode("utf-8")) == document
