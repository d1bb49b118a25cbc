"""Packed requests at a real TorchServe: pages answered as if each had come alone, batches of 64."""

from __future__ import annotations

import json
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from quintet.frame import frames
from quintet.operations import service as torchserve
from quintet_client.service.page import Limits

from tests.conftest import draw_page, encode


def post(service: torchserve.Service, body: bytes, **headers: str) -> requests.Response:
    sent = {"Authorization": f"Bearer {service.token('inference')}", "Content-Type": frames.MEDIA_TYPE, **headers}
    return requests.post(f"{service.inference_url}/predictions/quintet", data=body, headers=sent, timeout=300)


def read_packed(service: torchserve.Service, bodies: list[bytes], **headers: str) -> list[tuple[int, dict]]:
    answer = post(service, frames.pack_pages(bodies), **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, frames.MEDIA_TYPE)
    return [(page.status, json.loads(page.body)) for page in frames.unpack_answers(answer.content)]


def test_pages_of_a_packed_request_are_answered_as_if_they_had_come_alone(service: torchserve.Service) -> None:
    good = [encode(draw_page([f"Invoice {number}"], (420, 200)), "PNG") for number in range(3)]
    bodies = [good[0], b"", good[1], good[1][:300], frames.pack_pages(good), good[2], good[0]]
    packed = read_packed(service, bodies, **{"X-Request-Id": "pack"})
    assert [document.get("request_id") or document["error"]["request_id"] for _, document in packed] == [
        f"pack.{number}" for number in range(len(bodies))
    ]
    for body, (status, document) in zip(bodies, packed, strict=True):
        alone = service.read(body)
        assert status == alone.status_code
        expected = alone.json()
        for answer in (document, expected):
            answer.get("error", answer).pop("request_id")
        assert document == expected
    assert [document["text"] for status, document in packed if status == 200] == [
        "Invoice 0", "Invoice 1", "Invoice 2", "Invoice 0",
    ]  # fmt: skip


def test_the_service_says_what_it_takes(service: torchserve.Service) -> None:
    answer = post(service, frames.pack_question(frames.Kind.LIMITS), **{"X-Request-Id": "limits"})
    ((status, document),) = [(a.status, json.loads(a.body)) for a in frames.unpack_answers(answer.content)]
    assert (status, document.pop("schema"), document.pop("request_id")) == (200, "quintet.limits/1", "limits.0")
    assert document.pop("model")
    assert document.pop("optional_stages") == ["page_orientation", "layout", "line_orientation", "words"]
    assert (document.pop("document_pages"), document.pop("document_pixels")) == (50, 500_000_000)
    assert document == Limits()._asdict()


CHOICES = ["", "layout", "layout, line_orientation", "page_orientation,layout,line_orientation"]


def test_requests_of_one_batch_are_answered_each_by_its_own_choice(service: torchserve.Service) -> None:
    page = encode(draw_page(["Total 1,249.50 EUR", "Thank you"], (420, 300)))
    whole = service.read(page).json()
    headers = [{"X-Quintet-Leave-Out": CHOICES[number % 4]} for number in range(16)]
    with ThreadPoolExecutor(16) as threads:
        packed = list(threads.map(lambda asked: read_packed(service, [page, b"", page], **asked), headers))
    models = {"": whole["model"]}
    for asked, answers in zip(headers, packed, strict=True):
        (choice,) = asked.values()
        assert [status for status, _ in answers] == [200, 400, 200]
        for document in (answers[0][1], answers[2][1]):
            assert document.get("left_out", []) == [stage.strip() for stage in choice.split(",") if stage]
            assert document["text"] == whole["text"]
            assert ("layout" in choice and document["regions"] == []) or document["regions"] == whole["regions"]
            assert models.setdefault(choice, document["model"]) == document["model"]
    assert len(set(models.values())) == len(CHOICES)


@pytest.mark.parametrize("asked", [{"X-Quintet-Leave-Out": "recognition"}, {"X-Quintet-Leave-In": "layout"}])
def test_what_cannot_be_left_out_is_refused(service: torchserve.Service, asked: dict[str, str]) -> None:
    answer = post(service, frames.pack_pages([b"a"]), **asked)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID_PARAMETER")


def batch_sizes(service: torchserve.Service) -> dict[int, int]:
    text = requests.get(service.metrics_url + "/metrics", timeout=10).text
    found = re.findall(r'^quintet_batches_total\{pages="(\d+)".*\} (\d+)', text, flags=re.MULTILINE)
    return {int(pages): int(count) for pages, count in found}


def test_one_large_request_is_read_in_batches_of_64_that_are_counted_as_such(echo: torchserve.Service) -> None:
    before = batch_sizes(echo)
    bodies = [b"page %d" % number for number in range(136)]
    answers = read_packed(echo, bodies)
    assert [document["crc"] for _, document in answers] == [zlib.crc32(body) for body in bodies]
    assert [document["pages_in_call"] for _, document in answers] == [64] * 128 + [8] * 8
    after = batch_sizes(echo)
    assert {size: after[size] - before.get(size, 0) for size in (64, 8)} == {64: 2, 8: 1}


def test_pages_of_several_requests_share_a_batch_and_find_their_way_back(echo: torchserve.Service) -> None:
    packs = [[b"%d of %d" % (number, pack) for number in range(10)] for pack in range(4)]
    with ThreadPoolExecutor(9) as threads:
        singles = [threads.submit(echo.read, b"single %d" % number) for number in range(5)]
        packed = list(threads.map(lambda pack: read_packed(echo, pack), packs))
    for pack, answers in zip(packs, packed, strict=True):
        assert [document["crc"] for _, document in answers] == [zlib.crc32(body) for body in pack]
    assert [single.result().json()["crc"] for single in singles] == [zlib.crc32(b"single %d" % n) for n in range(5)]
    assert max(document["pages_in_call"] for answers in packed for _, document in answers) > 10


FRAME = frames.pack_pages([b"first", b"second"])
# 257 pages of no bytes: a head and a table that agree.
TOO_MANY = frames.MAGIC + struct.pack("<HHI", 1, 1, 257) + bytes(8 * 257)
LYING = frames.MAGIC + struct.pack("<HHIIIII", 1, 1, 2, 0, 2**32 - 5, 0, 10) + b"five."


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"\xff\xd8\xff\xe0 an image", FRAME[:-1], FRAME[:20], FRAME + b"x", FRAME.replace(b"\1", b"\7")),
        *(bytes(5000), TOO_MANY, LYING),
    ],
)
def test_a_malformed_frame_is_one_clear_error(echo: torchserve.Service, body: bytes) -> None:
    answer = post(echo, body, **{"X-Request-Id": "bad"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["request_id"]) == (422, "INVALID_PARAMETER", "bad")
    assert error["message"]
    assert read_packed(echo, [b"next"])[0][0] == 200


def test_a_page_that_breaks_the_models_fails_alone_in_its_pack(echo: torchserve.Service) -> None:
    answers = read_packed(echo, [b"a", b"RAISE", b"b", b"c"])
    assert [status for status, _ in answers] == [200, 500, 200, 200]
    assert answers[1][1]["error"]["code"] == "INFERENCE_FAILED"


def test_more_pages_than_are_read_at_once_are_sent_away_for_a_moment(echo: torchserve.Service) -> None:
    with ThreadPoolExecutor(8) as threads:
        frame = frames.pack_pages([b"page"] * 40)
        answers = list(threads.map(lambda _: post(echo, frame), range(8)))
    assert {answer.status_code for answer in answers} == {200, 503}
    busy = [answer for answer in answers if answer.status_code == 503]
    assert {answer.json()["error"]["code"] for answer in busy} == {"BUSY"}
    assert {answer.headers["retry-after"] for answer in busy} == {"1"}
