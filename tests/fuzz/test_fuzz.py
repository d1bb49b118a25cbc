"""The short form of `make fuzz`."""

from __future__ import annotations

import os

import pytest

from tests.fuzz.bombs import BOMBS
from tests.fuzz.command import table
from tests.fuzz.decoding import fuzz_decoder
from tests.fuzz.mutations import Mutator
from tests.fuzz.serving import fuzz_service

pytestmark = pytest.mark.slow
# A page of 100,000,000 pixels takes 400 MB, its transparent kind three times that while it is laid on white.
MOST_DECODER_MB = 2000


@pytest.fixture
def seed() -> int:
    """Other inputs every time; in CI the same."""
    return 1 if os.environ.get("CI") else int.from_bytes(os.urandom(4))


def test_an_input_of_a_seed_is_always_the_same() -> None:
    assert [Mutator(3).input(number) for number in range(50)] == [Mutator(3).input(number) for number in range(50)]


def test_damaged_images_neither_kill_the_decoder_nor_raise_what_is_not_documented(seed) -> None:
    found = fuzz_decoder(2000, seed)
    assert found.good, f"seed {seed}\n{table({'decoder': found})}"
    assert found.inputs == 2000
    assert found.codes["ok"] > 100
    assert found.codes["IMAGE_DECODE_FAILED"] > 100
    assert found.peak_mb < MOST_DECODER_MB


def test_damaged_images_kill_no_worker_and_each_has_a_documented_answer(service, seed) -> None:
    found = fuzz_service(service, 50, seed)
    assert found.good, f"seed {seed}\n{table({'service': found})}"
    assert found.inputs == 50 + len(BOMBS)
