"""When a page is tried again, when it is failed, and when the server is given up."""

import time

import pytest
from quintet_client.errors import NotAuthorisedError, ServerUnreachableError
from quintet_client.service.delivery import MAX_DROPS, Delivery, GiveUpPolicy
from quintet_client.service.outcomes import Answered, Dropped, NotNow, PageFailed, TryFailed, Unauthorised
from quintet_client.service.page import Page

ANSWER = Answered(b"{}\n", "m", "r")


class Scripted:
    """A transport whose outcomes are given; repeats the last for ever."""

    takes_frames = True

    def __init__(self, *outcomes):
        self._outcomes = list(outcomes)

    def read(self, _page):
        return self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]


def deliver(*outcomes, give_up_s=60.0, wait=lambda _seconds: False):
    delivery = Delivery(Scripted(*outcomes), GiveUpPolicy(give_up_s, 1.0), 3, wait)
    return next((outcome for _page, outcome in delivery.deliver([Page("p", b"")])), None)


def test_restarts_and_queues_cost_no_try():
    away = [NotNow("refused")] * 5 + [Dropped("reset")] * 5 + [NotNow("full", busy=True)] * 5
    end = deliver(*away, ANSWER)
    assert (end, end.tries) == (ANSWER, 1)


def test_faults_of_its_own_cost_tries_and_the_last_one_is_the_pages_end():
    silent = TryFailed("TIMEOUT", "silence")
    assert deliver(silent, silent, ANSWER).tries == 3
    end = deliver(silent)
    assert (end.code, end.tries) == ("TIMEOUT", 3)


def test_a_worker_that_died_costs_no_try_until_nothing_else_was_under_way():
    died = TryFailed("WORKER_DIED", "Worker died.")
    assert deliver(died, died, ANSWER).tries == 2
    end = deliver(died)
    assert (end.code, end.tries) == ("WORKER_DIED", 3)


def test_a_page_that_always_drops_the_connection_does_not_travel_for_ever():
    assert deliver(Dropped("reset")) == PageFailed("CONNECTION_LOST", f"reset ({MAX_DROPS} times in a row)")


def test_a_refused_page_is_not_tried_again():
    assert deliver(PageFailed("EMPTY_BODY", "m"), ANSWER) == PageFailed("EMPTY_BODY", "m")


def test_an_absent_server_is_given_up_and_a_refused_token_at_once():
    with pytest.raises(ServerUnreachableError, match="refused"):
        deliver(NotNow("refused"), give_up_s=0.05, wait=lambda _seconds: time.sleep(0.02))
    with pytest.raises(NotAuthorisedError):
        deliver(Unauthorised("no"))


def test_a_busy_server_has_the_time_of_one_request_more():
    begin = time.monotonic()
    with pytest.raises(ServerUnreachableError):
        deliver(NotNow("full", busy=True), give_up_s=0.05, wait=lambda _seconds: time.sleep(0.02))
    assert time.monotonic() - begin > 1


def test_work_is_abandoned_when_the_wait_says_so():
    assert deliver(NotNow("refused"), wait=lambda _seconds: True) is None
