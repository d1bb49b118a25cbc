"""Requests to pages and back: nothing is lost, nothing is mixed up, whatever the requests hold."""

import json
import re
from itertools import zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet.errors import Code, Failure
from quintet.frame import forms, frames
from quintet.frame.choices import EVERYTHING, Choices
from quintet.frame.frames import BufferSlice
from quintet.frame.requests import Pace, Request, admit, batches_of, in_order, parse_request, respond
from quintet.frame.settings import FrameSettings
from quintet.frame.shared_memory.buffers import SharedBuffers

HEAD = {"schema": "test/1", "model": "m"}
NO_BUFFERS = SharedBuffers(FrameSettings(), None)
LIMITS = {"max_request_bytes": 1000, "max_body_bytes": 10}
BODY = st.binary(min_size=1, max_size=8)
REQUEST = st.one_of(BODY, st.lists(st.binary(max_size=8), min_size=1, max_size=6))


def head(choice):
    return {**HEAD, "model": "-".join(["m", *sorted(choice)])}


def open_all(requests, choices=()):
    return [
        parse_request(bytearray(frames.pack_pages(request)), frames.MEDIA_TYPE, f"r{n}", NO_BUFFERS, LIMITS, choice)
        if isinstance(request, list)
        else parse_request(request, "image/jpeg", f"r{n}", NO_BUFFERS, LIMITS, choice)
        for n, (request, choice) in enumerate(zip_longest(requests, choices, fillvalue=EVERYTHING))
    ]


def echo(body, choice=EVERYTHING):
    return {"hex": body.hex(), "without": sorted(choice)} if body else Failure(Code.EMPTY_BODY, "empty")


CHOICE = st.frozensets(st.sampled_from(["layout", "line_orientation"]))


@given(st.lists(st.tuples(REQUEST, CHOICE), max_size=8), st.integers(1, 5))
def test_every_page_gets_its_own_answer_however_requests_are_cut_into_batches(asked, pages_per_batch):
    requests, choices = [request for request, _ in asked], [choice for _, choice in asked]
    parsed = open_all(requests, choices)
    batches = batches_of(parsed, pages_per_batch)
    assert all(1 <= len(batch.bodies) <= pages_per_batch for batch in batches)
    for choice in set(choices):  # as few calls as there can be
        alike = [len(batch.bodies) for batch in batches if batch.choice == choice]
        assert len(alike) == -(-sum(alike) // pages_per_batch)
    outcomes = [[echo(body, batch.choice) for body in batch.bodies] for batch in batches]
    replies = respond(parsed, in_order(batches, outcomes), head)
    for number, (request, choice, reply) in enumerate(zip(requests, choices, replies, strict=True)):
        if isinstance(request, bytes):
            assert json.loads(reply.body) == {**head(choice), "request_id": f"r{number}", **echo(request, choice)}
            continue
        assert (reply.status, reply.content_type) == (200, frames.MEDIA_TYPE)
        for place, (body, answer) in enumerate(zip(request, frames.unpack_answers(reply.body), strict=True)):
            alone = Request(f"r{number}.{place}", (body,), choice=choice)
            (expected,) = respond([alone], [echo(body, choice)], head)
            assert (answer.status, answer.body) == (expected.status, expected.body)


class Whole:
    schema, fingerprint, optional_stages = "test/1", "whole", ("layout", "line_orientation")

    def without(self, stages):
        other = Whole()
        other.fingerprint = f"without {', '.join(sorted(stages))}"
        return other


def test_a_chain_without_stages_is_made_once_a_choice_and_has_a_fingerprint_of_its_own():
    choices = Choices(Whole())
    assert choices.asked_for({}) == choices.asked_for({"x-quintet-leave-out": " ,"}) == EVERYTHING
    choice = choices.asked_for({"x-quintet-leave-out": "line_orientation, layout", "x-request-id": "r"})
    again = choices.asked_for({"x-quintet-leave-out": "layout,line_orientation,layout"})
    assert choices.chain(choice) is choices.chain(again) is not choices.chain(EVERYTHING)
    assert choices.head(choice) == {"schema": "test/1", "model": "without layout, line_orientation"}


@pytest.mark.parametrize(
    ("chain", "headers", "words"),
    [
        (Whole(), {"x-quintet-leave-out": "layout,recognition"}, "'recognition' cannot.*layout, line_orientation can"),
        (object(), {"x-quintet-leave-out": "layout"}, "'layout' cannot be left out; nothing can be"),
        (
            Whole(),
            {"x-quintet-leaveout": "layout"},
            "x-quintet-leaveout is unknown; known are X-Quintet-Leave-Out, X-Quintet-Pages",
        ),
    ],
    ids=["an unknown stage", "a chain without such stages", "an unknown header"],
)
def test_what_cannot_be_left_out_is_an_error_of_the_whole_request(chain, headers, words):
    choice = Choices(chain).asked_for(headers)
    frame = frames.pack_pages([b"a", b"b"])
    request = parse_request(frame, frames.MEDIA_TYPE, "r", NO_BUFFERS, LIMITS, choice)
    (reply,) = respond([request], [], head)
    assert (request.bodies, reply.status) == ([], 422)
    error = json.loads(reply.body)["error"]
    assert error["code"] == "INVALID_PARAMETER"
    assert re.search(words, error["message"])


def test_a_malformed_frame_is_one_error_and_its_neighbours_are_answered():
    frame = frames.pack_pages([b"a", b"b"])
    broken = parse_request(frame[:-1], frames.MEDIA_TYPE, "broken", NO_BUFFERS, LIMITS)
    broken_form = parse_request(b"no form", forms.MEDIA_TYPE, "form", NO_BUFFERS, LIMITS)
    good = parse_request(b"a", None, "good", NO_BUFFERS, LIMITS)
    replies = respond([broken, good, broken_form], [{"hex": "61"}], head)
    assert [reply.status for reply in replies] == [422, 200, 422]
    assert json.loads(replies[0].body)["error"]["code"] == "INVALID_PARAMETER"
    assert json.loads(replies[0].body)["error"]["request_id"] == "broken"
    assert json.loads(replies[2].body)["error"]["message"] == "the form's Content-Type names no boundary"


def test_requests_beyond_what_is_read_at_once_are_sent_away_with_retry_after():
    requests = open_all([[b"x"] * 4, [b"y"] * 3, b"z", [b"u"] * 2])
    admitted = admit(requests, pages_at_once=5)
    assert [len(request.bodies) for request in admitted] == [4, 0, 1, 0]
    replies = respond(admitted, [{}] * 5, head)
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
    (reply,) = respond([request], [echo(body) for body in request.bodies], head)
    answers = frames.unpack_answers(reply.body)
    assert [answer.status for answer in answers] == [200, 410, 200]
    assert [json.loads(answers[number].body)["hex"] for number in (0, 2)] == ["61", "62"]


def test_a_service_without_shared_memory_says_so_to_whom_asks():
    request = parse_request(frames.pack_question(frames.Kind.BUFFERS), frames.MEDIA_TYPE, "r", NO_BUFFERS, LIMITS)
    assert request.bodies == request.failures == []
    (answer,) = frames.unpack_answers(respond([request], [], head)[0].body)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (409, "SHARED_MEMORY_OFF")


def test_who_asks_what_the_service_takes_is_told_and_no_page_is_read():
    question = frames.pack_question(frames.Kind.LIMITS)
    request = parse_request(question, frames.MEDIA_TYPE, "r", NO_BUFFERS, LIMITS)
    assert request.bodies == request.failures == []
    (answer,) = frames.unpack_answers(respond([request], [], head)[0].body)
    assert json.loads(answer.body) == {"schema": "quintet.limits/1", "request_id": "r.0", "model": "m", **LIMITS}
