"""Slabs: never two batches in one, free again when the last page has its end, and nobody waits for ever."""

import random
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet_client.cancellation import Cancellation
from quintet_client.service.page import USUAL_LIMITS
from quintet_client.shared_memory.pictures import decode_into
from quintet_client.shared_memory.slabs import FIRST_PAGES, UNDER_WAY, Extent, Slabs

from tests.conftest import draw_page, encode

MEMORY = memoryview(bytearray(10 * 4096 * 100))


@pytest.fixture
def slabs():
    """Ten of 400 KiB."""
    return Slabs(MEMORY, 0, Cancellation())


def fill(slabs, slab, pages):
    extents = [Extent(slab.offset + 64 * number, 64) for number in range(pages)]
    slabs.filled(slab, extents, 64 * pages)
    return extents


def test_slabs_do_not_overlap_and_lie_inside_the_buffer(slabs):
    lent = [slabs.lend() for _ in range(2 + UNDER_WAY)]
    spans = sorted((slab.offset, slab.offset + slab.size_bytes) for slab in lent)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    assert spans[0][0] == 0
    assert spans[-1][1] <= len(MEMORY)


def test_a_slab_is_lent_again_only_when_its_last_page_has_its_end(slabs):
    lent = [slabs.lend() for _ in range(2 + UNDER_WAY)]
    assert slabs.lend() is None  # all are with the loader: waiting would be for ever
    first, second = fill(slabs, lent[0], 2)
    assert slabs.lend() is None  # its pages are on nobody's way yet
    slabs.sent(first)
    assert slabs.lend() is None
    slabs.sent(second)
    slabs.ended(first)
    waiting = threading.Timer(0.1, slabs.ended, [second])
    waiting.start()
    assert slabs.lend() == lent[0]
    waiting.join()


def test_a_slab_that_nothing_was_laid_into_is_free_at_once(slabs):
    lent = [slabs.lend() for _ in range(2 + UNDER_WAY)]
    slabs.filled(lent[3], [None, None], 10**9)
    assert slabs.lend() == lent[3]


@pytest.mark.parametrize("end", ["closed", "halted"])
def test_nobody_waits_in_a_run_that_is_ending_or_has_given_the_buffer_up(end):
    cancellation = Cancellation()
    slabs = Slabs(MEMORY, 0, cancellation)
    for extent in [fill(slabs, slabs.lend(), 1)[0] for _ in range(2 + UNDER_WAY)]:
        slabs.sent(extent)
    threading.Timer(0.1, slabs.close if end == "closed" else lambda: cancellation.cancel(KeyboardInterrupt())).start()
    assert slabs.lend() is None


def test_as_many_pages_go_into_a_slab_as_the_last_ones_sizes_allow(slabs):
    assert slabs.pages(64) == FIRST_PAGES
    for needed, expected in ((40_960, 10), (409_600, 1), (64, 64), (500_000, 64)):
        slabs.filled(slabs.lend(), [None], needed)
        assert slabs.pages(64) == expected  # the last: none fits, so they need not be kept apart
    slabs.filled(slabs.lend(), [None], 0)
    assert slabs.pages(64) == 64


class Senders:
    """A thread that gives pages their end in any order."""

    def __init__(self, slabs, chance):
        self._slabs = slabs
        self._chance = chance
        self._under_way = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def put(self, extents):
        for extent in extents:
            self._slabs.sent(extent)
        with self._lock:
            self._under_way += extents

    def finish(self):
        self._closing.set()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self):
        while not self._closing.is_set() or self._under_way:
            with self._lock:
                number = self._chance.randrange(len(self._under_way)) if self._under_way else None
                extent = None if number is None else self._under_way.pop(number)
            if extent:
                self._slabs.ended(extent)


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 20))
def test_a_run_comes_to_its_end_whatever_is_lent_ahead_or_waits_for_its_pack(seed, ahead, pack):
    """As the feed does it: batches are lent ahead, their pages gathered into packs, which senders bring to an end."""
    chance = random.Random(seed)
    slabs = Slabs(MEMORY, 0, Cancellation())
    senders = Senders(slabs, chance)
    lent, gathered = [], []
    for _ in range(40):
        lent.append(slabs.lend())
        slab = lent.pop(0) if len(lent) >= ahead else None
        gathered += fill(slabs, slab, chance.randrange(4)) if slab else []
        while len(gathered) >= pack:
            senders.put(gathered[:pack])
            del gathered[:pack]
    senders.finish()


PAGES = [encode(draw_page([f"page {number}"], (100, 50 + number)), "PNG") for number in range(4)]


def test_pages_are_laid_down_one_behind_the_other_until_there_is_no_room():
    slabs = Slabs(memoryview(bytearray(10 * 4096 * 16)), 0, Cancellation())
    slab = slabs.lend()
    bodies = [PAGES[0], b"no image", b"", PAGES[1], PAGES[1][:80], PAGES[2], PAGES[3]]
    extents, needed = decode_into(bodies, slabs.memory, slab, USUAL_LIMITS)
    assert [extent is not None for extent in extents] == [True, False, False, True, False, True, False]
    laid = [extent for extent in extents if extent]
    assert [extent.length for extent in laid] == [32 + 400 * height for height in (50, 51, 52)]
    assert all(extent.offset % 64 == 0 for extent in laid)
    assert all(a.offset + a.length <= b.offset for a, b in pairwise(laid))
    assert laid[-1].offset + laid[-1].length <= slab.offset + slab.size_bytes < slab.offset + needed
