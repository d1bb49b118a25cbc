"""Places at a real TorchServe: what lies at them is read, and nothing else can be reached."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from quintet.frame import frames
from quintet.frame.frames import Answer, BufferSlice
from quintet.operations import service as torchserve
from quintet.pages.settings import Settings
from quintet.pixels.images import decode_image
from quintet.pixels.raw_pictures import bytes_needed, write_raw
from quintet_client.shared_memory.buffer import SharedBuffer

from tests.conftest import draw_page, encode

SIZE = 4 << 20
PAGES = [encode(draw_page([f"Invoice {number}"], (420, 200)), "PNG") for number in range(3)]
LENGTH = bytes_needed((420, 200))
AT = [LENGTH // 64 * 64 * 2 * number for number in range(3)]


def post(service: torchserve.Service, frame: bytes, token: str | None = None) -> requests.Response:
    headers = {
        "Authorization": f"Bearer {token or service.token('inference')}",
        "Content-Type": frames.MEDIA_TYPE,
        "X-Request-Id": "request",
    }
    url = f"{service.inference_url}/predictions/quintet"
    return requests.post(url, data=frame, headers=headers, timeout=60)


def packed(kind: frames.Kind, items: list[Answer]) -> bytes:
    """A frame of any items: that of answers, with another kind in its head."""
    frame = bytearray(frames.pack_answers(items))
    frame[10:12] = struct.pack("<H", kind)
    return bytes(frame)


def ask(service: torchserve.Service, pages: list[BufferSlice | bytes]) -> list[tuple[int, dict]]:
    answer = post(service, frames.pack_slices(pages))
    assert (answer.status_code, answer.headers["content-type"]) == (200, frames.MEDIA_TYPE)
    return [(page.status, json.loads(page.body)) for page in frames.unpack_answers(answer.content)]


def invitation(service: torchserve.Service) -> tuple[Path, bytes]:
    answer = frames.unpack_answers(post(service, frames.pack_question(frames.Kind.BUFFERS)).content)[0]
    document = json.loads(answer.body)
    assert (answer.status, document["schema"]) == (200, "quintet.rings/1")
    return Path(document["directory"]), bytes.fromhex(document["ring"])


class Held(SharedBuffer):
    """A buffer that the service holds, with three pages in it."""

    def __init__(self, service: torchserve.Service) -> None:
        super().__init__(SIZE)
        directory, self.name = invitation(service)
        assert self.attach(directory, self.name) == 1
        for page, offset in zip(PAGES, AT, strict=True):
            write_raw(decode_image(page, Settings()), len(page), self.view[offset : offset + LENGTH])

    def place(self, number: int, length: int = LENGTH) -> BufferSlice:
        return BufferSlice(self.name, AT[number], length)


@pytest.fixture
def buffer(service: torchserve.Service) -> Iterator[Held]:
    held = Held(service)
    yield held
    held.detach()


def worker_maps(service: torchserve.Service) -> list[str]:
    """The buffers that the service's worker has mapped."""
    pid = service.description()["workers"][0]["pid"]
    return [line for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "memfd:quintet-buffer" in line]


def let_go_of(service: torchserve.Service, buffer: Held) -> None:
    """Detach, and wait until the worker has noticed: that takes no request."""
    before = len(worker_maps(service))
    buffer.detach()
    ends_at = time.monotonic() + 10
    while len(worker_maps(service)) >= before:
        assert time.monotonic() < ends_at, "the memory stays mapped"
        time.sleep(0.02)


def test_pages_at_places_are_answered_as_if_they_had_come_encoded(service: torchserve.Service, buffer: Held) -> None:
    answers = ask(service, [buffer.place(0), PAGES[1], buffer.place(2), buffer.place(0)])
    for page, (status, document) in zip([PAGES[0], PAGES[1], PAGES[2], PAGES[0]], answers, strict=True):
        expected = service.read(page).json()
        assert status == 200
        assert {**document, "request_id": ""} == {**expected, "request_id": ""}


def test_without_the_token_nobody_learns_where_buffers_are_taken(service: torchserve.Service) -> None:
    answer = post(service, frames.pack_question(frames.Kind.BUFFERS), token="wrong")
    assert answer.json()["error"]["code"] == "NOT_AUTHORISED"


def test_the_directory_is_the_users_alone_and_names_are_new_each_time(service: torchserve.Service) -> None:
    directory, name = invitation(service)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert invitation(service)[1] != name


@pytest.mark.parametrize(
    "place",
    [
        (0, SIZE + 64),
        (SIZE, 64),
        (SIZE - 64, 128),
        (1, LENGTH),
        (0, 0),
        (2**64 - 64, 64),
        (2**64 - 64, 2**64 - 1),
    ],
)
def test_a_place_outside_its_buffer_is_refused_and_its_neighbours_are_read(
    service: torchserve.Service, buffer: Held, place: tuple[int, int]
) -> None:
    answers = ask(service, [buffer.place(0), BufferSlice(buffer.name, *place), buffer.place(1)])
    assert [status for status, _ in answers] == [200, 422, 200]
    assert answers[1][1]["error"]["code"] == "INVALID_PARAMETER"
    assert [answers[number][1]["text"] for number in (0, 2)] == ["Invoice 0", "Invoice 1"]


def test_a_foreign_buffer_cannot_be_reached_by_guessing(service: torchserve.Service, buffer: Held) -> None:
    guesses = [bytes(16), buffer.name[:-1] + bytes([buffer.name[-1] ^ 1]), buffer.name[::-1], b"quintet-buffer\0\0\0\0"]
    for status, document in ask(service, [BufferSlice(guess, AT[0], LENGTH) for guess in guesses]):
        assert (status, document["error"]["code"]) == (410, "UNKNOWN_RING")
        assert buffer.name.hex() not in json.dumps(document)


@pytest.mark.parametrize(
    "item", [Answer(1, b""), Answer(1, bytes(33)), Answer(2, bytes(32)), Answer(2**32 - 1, bytes(32))]
)
def test_a_malformed_place_is_one_clear_error(service: torchserve.Service, item: Answer) -> None:
    answer = post(service, packed(frames.Kind.SLICES, [item]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID_PARAMETER")


def test_what_is_no_picture_at_its_place_fails_alone(service: torchserve.Service, buffer: Held) -> None:
    buffer.view[AT[1] : AT[1] + 8] = b"nothing!"
    buffer.view[AT[2] + 8 : AT[2] + 16] = struct.pack("<II", 40_000, 40_000)
    places = [
        buffer.place(0),
        buffer.place(1),
        buffer.place(2),
        buffer.place(0, LENGTH - 64),
        buffer.place(0, LENGTH + 64),
    ]
    answers = ask(service, places)
    assert [status for status, _ in answers] == [200, 400, 413, 400, 400]
    assert [document["error"]["code"] for _, document in answers[1:]] == [
        "IMAGE_DECODE_FAILED", "IMAGE_TOO_LARGE", "IMAGE_DECODE_FAILED", "IMAGE_DECODE_FAILED",
    ]  # fmt: skip


def test_a_buffer_whose_client_is_gone_is_unknown_and_unmapped(service: torchserve.Service) -> None:
    buffer = Held(service)
    assert ask(service, [buffer.place(0)])[0][0] == 200
    let_go_of(service, buffer)
    assert ask(service, [buffer.place(0)])[0][0] == 410
    later = Held(service)
    assert ask(service, [buffer.place(0), later.place(0)])[0][0] == 410
    let_go_of(service, later)


def test_memory_that_changes_while_it_is_read_changes_pixels_at_most(service: torchserve.Service, buffer: Held) -> None:
    """What a page says may be anything then; the service stays up, and the next page is right."""
    sizes = [struct.pack("<II", *size) for size in ((420, 200), (200, 420), (2**31, 2**31), (1, 84_000))]
    for number in range(40):
        buffer.view[AT[1] + 8 : AT[1] + 16] = sizes[number % 4]
        if number % 4 == 3:
            status, _ = ask(service, [buffer.place(1)])[0]
            assert status in {200, 400, 413}
    assert ask(service, [buffer.place(0)])[0][1]["text"] == "Invoice 0"
