"""Requests that the server has lost are sent again; requests that only take long are not."""

import threading
import time

import pytest
from quintet_client.service import lost_requests
from reading import assert_adds_up, read, rows, write_pages
from scripted_server import ScriptedServer, our_error, page_answer

SILENCE_S = 1.0


@pytest.fixture(autouse=True)
def short_limits(monkeypatch):
    monkeypatch.setattr(lost_requests, "LEAST_SILENCE_S", SILENCE_S)
    monkeypatch.setattr(lost_requests, "_POLL_S", 0.05)


class Queue:
    """Lets one in after the other, in the order they come, which a lock does not promise."""

    def __init__(self):
        self._changed = threading.Condition()
        self._come = self._served = 0

    def __enter__(self):
        with self._changed:
            place, self._come = self._come, self._come + 1
            self._changed.wait_for(lambda: self._served == place)

    def __exit__(self, *_error):
        with self._changed:
            self._served += 1
            self._changed.notify_all()


class Worker:
    """Script: one queue and one worker, as TorchServe has them; some requests it loses the first time they come."""

    def __init__(self, lost=(), s_per_page=0.0, slow=None):
        self._queue = Queue()
        self._closed = threading.Event()
        self._lost = lost
        self._s_per_page = s_per_page
        self._slow = slow or {}
        self.probes = 0

    def __call__(self, request):
        if request.body in self._lost and request.times_seen == 1:
            self._closed.wait(60)
        if not request.body:
            with self._queue:
                self.probes += 1
                return our_error(400, "EMPTY_BODY")
        with self._queue:
            time.sleep(self._slow.get(request.body, self._s_per_page))
            return page_answer(request)

    def close(self):
        self._closed.set()


def read_through(worker, folder, output, *options):
    """Run the client; gives its exit code, the seconds it took and how often each page came."""
    begin = time.monotonic()
    with ScriptedServer(worker) as server:
        code = read(folder, output, server.url, "--timeout-s", 60, *options)
        took_s = time.monotonic() - begin
        worker.close()
        server.seen.pop(b"", None)
        return code, took_s, dict(server.seen)


@pytest.mark.parametrize("pack", [1, 4])
def test_a_lost_request_is_sent_again_once_later_ones_are_answered_and_costs_no_try(folder, output, pack):
    pages = list(write_pages(folder, 40).values())
    worker = Worker(lost=[pages[11]], s_per_page=0.05)
    code, took_s, seen = read_through(worker, folder, output, "--pack", pack, "--in-flight", 8, "--retries", 1)
    assert (code, assert_adds_up(output)["ok"]) == (0, 40)
    assert took_s < 30
    assert seen[pages[11]] == 2
    assert sum(seen.values()) <= 40 + pack
    assert {row["tries"] for row in rows(output).values()} == {1}


def test_when_everything_under_way_is_lost_an_empty_page_finds_out(folder, output):
    pages = write_pages(folder, 24)
    worker = Worker(lost=[pages[name] for name in sorted(pages)[-8:]])  # nothing is sent behind them
    code, took_s, seen = read_through(worker, folder, output, "--pack", 1, "--in-flight", 8, "--retries", 1)
    assert (code, assert_adds_up(output)["ok"]) == (0, 24)
    assert took_s < 30
    assert worker.probes >= 1
    assert max(seen.values()) == 2
    assert {row["tries"] for row in rows(output).values()} == {1}


def test_a_server_that_turns_slow_is_waited_for_and_no_page_is_sent_twice(folder, output):
    pages = list(write_pages(folder, 12).values())
    worker = Worker(s_per_page=0.01, slow={pages[7]: 3 * SILENCE_S, pages[8]: 2 * SILENCE_S})
    code, _, seen = read_through(worker, folder, output, "--pack", 1, "--in-flight", 4, "--retries", 1)
    assert (code, assert_adds_up(output)["ok"]) == (0, 12)
    assert set(seen.values()) == {1}
    assert worker.probes >= 1  # it waited its turn behind the slow page, and proved nothing


class TwoWorkers(Worker):
    """Script: a second worker answers everything but one page, whatever the first one is at."""

    def __call__(self, request):
        if request.body in self._slow:
            return super().__call__(request)
        return our_error(400, "EMPTY_BODY") if not request.body else page_answer(request)


@pytest.mark.slow
def test_a_worker_that_takes_long_beside_a_quick_one_is_given_more_time_each_time(folder, output):
    pages = list(write_pages(folder, 12).values())
    code, _, seen = read_through(
        TwoWorkers(slow={pages[3]: 3 * SILENCE_S}), folder, output, "--pack", 1, "--in-flight", 4, "--retries", 1
    )
    assert (code, assert_adds_up(output)["ok"]) == (0, 12)
    # Abandoned after 1 and 4 times the limit, as the first attempt still keeps the worker busy; with 16 it is read.
    assert 2 <= seen[pages[3]] <= 3
    assert {row["tries"] for row in rows(output).values()} == {1}


def test_before_the_first_answer_nothing_is_abandoned(folder, output):
    pages = list(write_pages(folder, 4).values())
    worker = Worker(slow=dict.fromkeys(pages, 0.5 * SILENCE_S))
    code, _, seen = read_through(worker, folder, output, "--pack", 4, "--in-flight", 4)
    assert code == 0
    assert set(seen.values()) == {1}
    assert worker.probes == 0
