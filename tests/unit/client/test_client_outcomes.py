"""Which answer of the server means which outcome."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
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
        (200, b"not json", TryFailed("BAD_ANSWER", "status 200, but not a JSON object with `schema` and `model`")),
        (200, b"[1]", TryFailed("BAD_ANSWER", "status 200, but not a JSON object with `schema` and `model`")),
    ],
)
def test_each_answer_has_its_outcome(status, body, expected):
    assert outcome_of(status, {"Retry-After": "2"}, body) == expected


@pytest.mark.parametrize("status", [302, 404, 405, 502])
def test_a_wrong_address_is_a_server_not_ready_and_fails_no_page(status):
    outcome = outcome_of(status, {}, torchserve(status, "ModelNotFoundException"))
    assert isinstance(outcome, NotNow)
    assert outcome.reached
    assert not outcome.busy


@pytest.mark.parametrize(("header", "seconds"), [("3", 3.0), ("-1", 0.0), ("86400", 60.0), ("Mon, 1 Jan", 0.0)])
def test_retry_after_is_seconds_within_reason(header, seconds):
    assert outcome_of(503, {"Retry-After": header}, b"") == NotNow(
        "HTTP 503 without an explanation", seconds, busy=True, reached=True
    )


def test_equal_answers_are_equal_bytes_whatever_the_request():
    first = outcome_of(200, {}, b'{"schema": "s", "request_id": "1", "model": "m", "lines": []}')
    second = outcome_of(200, {}, b'{"lines":[],"model":"m","schema":"s","request_id":"2"}')
    assert isinstance(first, Answered)
    assert isinstance(second, Answered)
    assert first.document == second.document == b'{"lines":[],"model":"m","schema":"s"}\n'
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
