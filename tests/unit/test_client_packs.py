"""Which pages travel together, and how much is under way."""

import threading

from hypothesis import given
from hypothesis import strategies as st
from quintet_client.cancellation import Cancellation, Room
from quintet_client.input.loader import FileStamp, LoadedPage
from quintet_client.service import batching as packs
from quintet_client.service.batching import in_packs

LIMIT = packs.MAX_PACK_BYTES


class Sized(bytes):
    """Bytes that only claim their size."""

    def __new__(cls, size):
        made = super().__new__(cls)
        made.size = size
        return made

    def __len__(self):
        return self.size


def pages_of(sizes):
    return [LoadedPage(str(n), FileStamp(size, 0), Sized(size), "", "") for n, size in enumerate(sizes)]


@given(st.lists(st.integers(0, LIMIT + LIMIT // 4), max_size=40), st.integers(1, 8))
def test_packs_keep_all_pages_in_order_within_both_limits(sizes, most):
    pages = pages_of(sizes)
    made = list(in_packs(pages, lambda: most))
    assert [page for pack in made for page in pack] == pages
    for pack in made:
        assert 1 <= len(pack) <= most
        assert len(pack) == 1 or sum(len(page.body) for page in pack) <= LIMIT


def test_a_server_that_refuses_packs_gets_single_pages_from_then_on():
    sizes = iter([3, 3, 3, 3, 3, 3])
    made = [len(pack) for pack in in_packs(pages_of([1] * 6), lambda: next(sizes, 1))]
    assert made[-1] == 1
    assert sum(made) == 6


def test_room_is_bounded_in_pages_and_bytes_and_a_giant_goes_alone():
    room = Room(4, 100, Cancellation())
    assert room.take(3, 10)
    for pages, size in ((2, 1), (1, 91)):
        waiting = threading.Thread(target=room.take, args=(pages, size), daemon=True)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        room.give(3, 10)
        waiting.join(5)
        assert not waiting.is_alive()
        room.give(pages, size)
        assert room.take(3, 10)
    room.give(3, 10)
    assert room.take(9, 1000)


def test_nobody_waits_for_room_in_a_run_that_is_ending():
    cancellation = Cancellation()
    room = Room(1, 1, cancellation)
    assert room.take(1, 1)
    cancellation.cancel(KeyboardInterrupt())
    assert not room.take(1, 1)
