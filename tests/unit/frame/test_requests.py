"""Requests to pages and back: nothing is lost, nothing is mixed up, whatever the requests hold."""

import json

from hypothesis import given
from hypothesis import strategies as st
from quintet.errors import Code, Failure
from quintet.frame import frames
from quintet.frame.frames import BufferSlice
from quintet.frame.requests import Pace, Request, admit, batches_of, parse_request, respond
from quintet.frame.settings import FrameSettings
from quintet.frame.shared_memory.buffers import SharedBuffers

HEAD = {"schema": "test/1", "model": "m"}
NO_BUFFERS = SharedBuffers(FrameSettings(), None)
LIMITS = {"max_request_bytes": 1000, "max_body_bytes": 10}
BODY = st.binary(min_size=1, max_size=8)
REQUEST = st.one_of(BODY, st.lists(st.binary(max_size=8), min_size=1, max_size=6))


def open_all(requests):
    return [
        parse_request(bytearray(frames.pack_pages(request)), frames.MEDIA_TYPE, f"r{number}", NO_BUFFERS, LIMITS)
        if isinstance(request, list)
        else parse_request(request, "image/jpeg", f"r{number}", NO_BUFFERS, LIMITS)
        for number, request in enumerate(requests)
    ]


def echo(body):
    return {"hex": body.hex()} if body else Failure(Code.EMPTY_BODY, "empty")


@given(st.lists(REQUEST, max_size=8), st.integers(1, 5))
def test_every_page_gets_its_own_answer_however_requests_are_cut_into_batches(requests, pages_per_batch):
    parsed = open_all(requests)
    bodies = [body for request in parsed for body in request.bodies]
    batches = batches_of(bodies, pages_per_batch)
    assert all(1 <= len(batch) <= pages_per_batch for batch in batches)
    replies = respond(parsed, [echo(body) for batch in batches for body in batch], HEAD)
    for number, (request, reply) in enumerate(zip(requests, replies, strict=True)):
        if isinstance(request, bytes):
            assert json.loads(reply.body) == {**HEAD, "request_id": f"r{number}", "hex": request.hex()}
            continue
        assert (reply.status, reply.content_type) == (200, frames.MEDIA_TYPE)
        for place, (body, answer) in enumerate(zip(request, frames.unpack_answers(reply.body), strict=True)):
            alone = respond([Request(f"r{number}.{place}", (body,))], [echo(body)], HEAD)[0]
            assert (answer.status, answer.body) == (alone.status, alone.body)


def test_a_malformed_frame_is_one_error_and_its_neighbours_are_answered():
    frame = frames.pack_pages([b"a", b"b"])
    broken = parse_request(frame[:-1], frames.MEDIA_TYPE, "broken", NO_BUFFERS, LIMITS)
    parsed = parse_request({"json": 1}, "application/json", "parsed", NO_BUFFERS, LIMITS)
    good = parse_request(b"a", None, "good", NO_BUFFERS, LIMITS)
    replies = respond([broken, good, parsed], [{"hex": "61"}], HEAD)
    assert [reply.status for reply in replies] == [422, 200, 400]
    assert json.loads(replies[0].body)["error"]["code"] == "INVALID_PARAMETER"
    assert json.loads(replies[0].body)["error"]["request_id"] == "broken"
    assert json.loads(replies[2].body)["error"]["code"] == "UNSUPPORTED_FORMAT"


def test_requests_beyond_what_is_read_at_once_are_sent_away_with_retry_after():
    requests = open_all([[b"x"] * 4, [b"y"] * 3, b"z", [b"u"] * 2])
    admitted = admit(requests, pages_at_once=5)
    assert [len(request.bodies) for request in admitted] == [4, 0, 1, 0]
    replies = respond(admitted, [{}] * 5, HEAD)
    assert [reply.status for reply in replies] == [200, 503, 200, 503]
    assert replies[1].headers == {"Retry-After": "1"}
    assert json.loads(replies[1].body)["error"]["code"] == "BUSY"


def test_a_request_larger_than_what_is_read_at_once_is_read_when_it_comes_first():
    requests = open_all([[b"x"] * 9, b"y"])
    assert [len(request.bodies) for request in admit(requests, pages_at_once=5)] == [9, 0]


def test_work_at_once_follows_what_a_page_has_taken_lately():
    pace = Pace()
    assert pace.pages_within(60) == 120
    for _ in range(10):
        pace.note(pages=64, seconds=64 * 1.5)
    assert pace.pages_within(60) == 40
    pace.note(pages=0, seconds=3)  # nothing but probes and refusals
    assert pace.pages_within(60) == 40
    for _ in range(10):
        pace.note(pages=64, seconds=0.2)
    assert pace.pages_within(60) > 5000


def test_slices_of_unknown_buffers_fail_alone_and_cost_nobody_a_reading():
    pages = [b"a", BufferSlice(bytes(16), 0, 64), b"b"]
    request = parse_request(frames.pack_slices(pages), frames.MEDIA_TYPE, "r", NO_BUFFERS, LIMITS)
    assert request.bodies == [b"a", b"b"]
    assert [failure.code for failure in request.failures] == [Code.UNKNOWN_RING]
    (reply,) = respond([request], [echo(body) for body in request.bodies], HEAD)
    answers = frames.unpack_answers(reply.body)
    assert [answer.status for answer in answers] == [200, 410, 200]
    assert [json.loads(answers[number].body)["hex"] for number in (0, 2)] == ["61", "62"]


def test_a_service_without_shared_memory_says_so_to_whom_asks():
    request = parse_request(frames.pack_question(frames.Kind.BUFFERS), frames.MEDIA_TYPE, "r", NO_BUFFERS, LIMITS)
    assert request.bodies == request.failures == []
    (answer,) = frames.unpack_answers(respond([request], [], HEAD)[0].body)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (409, "SHARED_MEMORY_OFF")


def test_who_asks_what_the_service_takes_is_told_and_no_page_is_read():
    question = frames.pack_question(frames.Kind.LIMITS)
    request = parse_request(question, frames.MEDIA_TYPE, "r", NO_BUFFERS, LIMITS)
    assert request.bodies == request.failures == []
    (answer,) = frames.unpack_answers(respond([request], [], HEAD)[0].body)
    assert json.loads(answer.body) == {"schema": "quintet.limits/1", "request_id": "r.0", "model": "m", **LIMITS}
