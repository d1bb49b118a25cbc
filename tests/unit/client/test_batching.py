"""Which pages travel together, and how much is under way."""

import itertools
import threading

from hypothesis import given
from hypothesis import strategies as st
from quintet_client.cancellation import Cancellation
from quintet_client.service.batch_request import in_batches
from quintet_client.service.page import Page
from quintet_client.service.sender import AdaptiveLimit, InFlightLimit

LIMIT = 32 << 20


class Sized(bytes):
    """Bytes that only claim their size."""

    def __new__(cls, size):
        made = super().__new__(cls)
        made.size = size
        return made

    def __len__(self):
        return self.size


def pages_of(sizes):
    return [Page(str(n), Sized(size)) for n, size in enumerate(sizes)]


@given(st.lists(st.integers(0, LIMIT + LIMIT // 4), max_size=40), st.integers(1, 8))
def test_batches_keep_all_pages_in_order_within_both_limits(sizes, most):
    pages = pages_of(sizes)
    made = list(in_batches(pages, lambda: most, LIMIT))
    assert [page for pack in made for page in pack] == pages
    for pack in made:
        assert 1 <= len(pack) <= most
        assert len(pack) == 1 or sum(len(page.body) for page in pack) <= LIMIT


def test_a_server_that_refuses_frames_gets_single_pages_from_then_on():
    sizes = iter([3, 3, 3, 3, 3, 3])
    made = [len(pack) for pack in in_batches(pages_of([1] * 6), lambda: next(sizes, 1), LIMIT)]
    assert made[-1] == 1
    assert sum(made) == 6


def test_work_under_way_is_bounded_in_pages_and_bytes_and_a_giant_goes_alone():
    limit = InFlightLimit(4, 100, Cancellation())
    assert limit.acquire(3, 10)
    for pages, size in ((2, 1), (1, 91)):
        waiting = threading.Thread(target=limit.acquire, args=(pages, size), daemon=True)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        limit.release(3, 10)
        waiting.join(5)
        assert not waiting.is_alive()
        limit.release(pages, size)
        assert limit.acquire(3, 10)
    limit.release(3, 10)
    assert limit.acquire(9, 1000)


def test_nobody_waits_for_room_in_a_run_that_is_ending():
    cancellation = Cancellation()
    limit = InFlightLimit(1, 1, cancellation)
    assert limit.acquire(1, 1)
    cancellation.cancel(KeyboardInterrupt())
    assert not limit.acquire(1, 1)


ANSWERED_AT_S = itertools.count(step=10_000.0)  # further apart than any answer takes


def answer(limit, pages_a_second, times):
    """What is under way after so many answers of a service that reads at this speed, kept busy by one client."""
    for _ in range(times):
        limit.acquire(limit.most_pages, 0)
        limit.adapt(limit.pages / pages_a_second, next(ANSWERED_AT_S))
        limit.release(limit.pages, 0)
    return limit.most_pages


def test_a_fast_service_gets_all_that_is_allowed_and_a_slow_one_what_it_answers_within_seconds():
    def limit():
        return AdaptiveLimit(192, 1 << 30, Cancellation())

    assert limit().most_pages == AdaptiveLimit.FIRST_PAGES
    assert answer(limit(), 500, 1) == 4 * AdaptiveLimit.FIRST_PAGES
    assert answer(limit(), 500, 9) == 192
    assert answer(limit(), 4.5, 9) == 45
    assert answer(limit(), 0.1, 9) == AdaptiveLimit.LEAST_PAGES


def test_a_service_that_becomes_slow_gets_less_and_one_that_recovers_more():
    limit = AdaptiveLimit(192, 1 << 30, Cancellation())
    assert answer(limit, 500, 9) == 192
    assert answer(limit, 5, 2) == 50
    assert answer(limit, 500, 3) == 192


def test_answers_to_requests_that_set_out_before_the_last_change_change_nothing():
    limit = AdaptiveLimit(192, 1 << 30, Cancellation())
    limit.acquire(4, 0)
    for _ in range(20):
        limit.adapt(0.5, now=1.0)
    assert limit.most_pages == 4 * AdaptiveLimit.FIRST_PAGES


def test_less_than_the_first_pages_is_allowed():
    limit = AdaptiveLimit(2, 1 << 30, Cancellation())
    assert (limit.most_pages, answer(limit, 500, 5)) == (2, 2)
