"""The sender's threads, and the pool that writes."""

from __future__ import annotations

import threading
import time

import pytest
from quintet_client.cancellation import BoundedPool, Cancellation
from quintet_client.errors import NotAuthorisedError
from quintet_client.service.delivery import Delivery, GiveUpPolicy
from quintet_client.service.outcomes import Answered, PageFailed, Unauthorised
from quintet_client.service.page import Page
from quintet_client.service.sender import InFlightLimit, Sender

ANSWER = Answered(b"{}", "m", "r")


class Service:
    """A transport that answers each page with what a function gives, one page a request."""

    takes_frames = False

    def __init__(self, answer):
        self._answer = answer

    def read(self, page):
        return self._answer(page)


class Sending:
    """A sender, and what came of its pages."""

    def __init__(self, answer, most_pages=64):
        self.cancellation = Cancellation()
        self.ends: dict[str, Answered | PageFailed] = {}
        self._limit = InFlightLimit(most_pages, 1 << 20, self.cancellation)
        delivery = Delivery(Service(answer), GiveUpPolicy(1, 1), 1, self.cancellation.wait)
        self.sender = Sender(delivery, self._limit, self.cancellation, self._note)

    def _note(self, page, outcome, _seconds):
        self.ends[page.page_id] = outcome
        self.sender.release(page)

    def put(self, *numbers):
        return self.sender.put([Page(str(number), b"body") for number in numbers])


def test_no_more_threads_than_the_work_needs() -> None:
    seen: set[int] = set()
    sending = Sending(lambda _page: seen.add(threading.get_ident()) or ANSWER)
    for number in range(200):
        assert sending.put(number)
        while str(number) not in sending.ends:
            time.sleep(0.001)
        time.sleep(0.001)  # the thread goes back to the queue
    sending.sender.close()
    assert len(sending.ends) == 200
    assert len(seen) < 8


def test_as_many_requests_at_once_as_pages_are_allowed() -> None:
    together = threading.Barrier(5, timeout=20)
    sending = Sending(lambda _page: together.wait() is not None and ANSWER, most_pages=5)
    for number in range(20):  # four times five that wait for each other
        sending.put(number)
    sending.sender.close()
    assert set(sending.ends) == {str(number) for number in range(20)}
    assert (sending.sender.pages, sending.sender.requests) == (0, 0)


def test_a_sender_that_got_no_work_ends_at_once() -> None:
    Sending(lambda _page: ANSWER).sender.close()


def test_pages_without_bytes_have_their_end_without_being_sent() -> None:
    sent = []
    sending = Sending(lambda page: sent.append(page.page_id) or ANSWER)
    bad = Page("bad", b"", code="UNREADABLE_FILE", message="gone")
    sending.sender.put([bad, Page("good", b"body")])
    sending.sender.close()
    assert (sent, sending.ends) == (["good"], {"good": ANSWER, "bad": PageFailed("UNREADABLE_FILE", "gone")})


def test_an_error_ends_the_run_and_what_waits_is_not_sent() -> None:
    sending = Sending(lambda _page: Unauthorised("no"))
    sending.put(1)
    sending.sender.close()
    assert isinstance(sending.cancellation.cause, NotAuthorisedError)
    sending.put(2)
    assert sending.ends == {}


def test_a_cancelled_run_waits_for_answers_only_so_long() -> None:
    answered = threading.Event()
    sending = Sending(lambda _page: answered.wait(60) and ANSWER)
    sending.put(1)
    sending.cancellation.cancel(KeyboardInterrupt())
    begin = time.monotonic()
    sending.sender.close(0.3)
    assert 0.2 < time.monotonic() - begin < 5
    answered.set()


def test_a_full_pool_holds_up_whoever_feeds_it_and_does_all_it_was_given() -> None:
    go, done = threading.Event(), list[int]()

    def work(number: int) -> None:
        go.wait(60)
        done.append(number)

    pool = BoundedPool(2, 3, Cancellation(), "test")
    for number in range(5):
        pool.submit(work, number)
    sixth = threading.Thread(target=pool.submit, args=(work, 5), daemon=True)
    sixth.start()
    sixth.join(0.1)
    assert sixth.is_alive()
    go.set()
    sixth.join(10)
    pool.close()
    assert sorted(done) == list(range(6))
    with pytest.raises(RuntimeError):
        pool.submit(work, 6)


def test_what_goes_wrong_in_a_pool_ends_the_run() -> None:
    cancellation = Cancellation()
    pool = BoundedPool(1, 0, cancellation, "test")
    pool.submit(lambda: {}["gone"])
    pool.close()
    assert isinstance(cancellation.cause, KeyError)
