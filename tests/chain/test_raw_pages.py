"""Pages that lie decoded in memory, through the real models: read as if they had come encoded."""

import pytest
from quintet.errors import Code, Failure
from quintet.pages.settings import Settings
from quintet.pixels.images import decode_image
from quintet.pixels.raw_pictures import bytes_needed, write_raw

from tests.conftest import draw_page, encode

BODIES = [encode(draw_page([f"Invoice {number}"], (420, 200 + number)), "PNG") for number in range(4)]


def laid(body):
    image = decode_image(body, Settings())
    memory = memoryview(bytearray(bytes_needed(image.size)))
    write_raw(image, len(body), memory)
    return memory.toreadonly()


@pytest.mark.parametrize("raw", [{0, 1, 2, 3}, {2}, {1, 3}])
def test_raw_and_encoded_pages_share_a_batch_and_each_has_its_own_answer(chain, raw):
    expected = chain(BODIES)
    assert [page["text"] for page in expected] == [f"Invoice {number}" for number in range(4)]
    assert chain([laid(body) if number in raw else body for number, body in enumerate(BODIES)]) == expected


def test_what_is_no_picture_fails_alone(chain):
    cut = laid(BODIES[1])[:-4]
    outcomes = chain([laid(BODIES[0]), cut, memoryview(bytes(64)), BODIES[1]])
    assert [isinstance(outcome, Failure) for outcome in outcomes] == [False, True, True, False]
    assert {outcomes[1].code, outcomes[2].code} == {Code.IMAGE_DECODE_FAILED}
    assert outcomes[3] == chain(BODIES[1:2])[0]


def test_an_encoded_image_in_shared_memory_is_not_decoded(chain):
    (outcome,) = chain([memoryview(BODIES[0])])
    assert outcome.code is Code.IMAGE_DECODE_FAILED
