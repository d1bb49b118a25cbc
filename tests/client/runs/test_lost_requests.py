"""Requests that the server has lost are sent again; requests that only take long are not."""

import threading
import time
from dataclasses import replace

import pytest
from quintet.frame import frames
from quintet_client.service import lost_requests

from tests.client.reading import assert_adds_up, read, report, rows, write_pages
from tests.client.scripted_server import ScriptedServer, our_error, page_answer

MARGIN_S = 0.5


@pytest.fixture(autouse=True)
def short_limits(monkeypatch):
    monkeypatch.setattr(lost_requests, "MARGIN_S", MARGIN_S)
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


class Service:
    """Script: one queue and one worker, as TorchServe has them; some requests it loses the first time they come.

    `workers` is what its answers say of who lives; None says nothing.
    """

    def __init__(self, lost=(), s_per_page=0.0, slow=None, workers="here 1"):
        self._queue = Queue()
        self._closed = threading.Event()
        self._lost = lost
        self._s_per_page = s_per_page
        self._slow = slow or {}
        self._workers = workers
        self.probes = 0

    def __call__(self, request):
        if request.body in self._lost and request.times_seen == 1:
            self._closed.wait(60)
        with self._queue:
            return self.read(request, self._workers)

    def read(self, request, workers):
        time.sleep(self._slow.get(request.body, self._s_per_page if request.body else 0))
        self.probes += not request.body
        reply = page_answer(request) if request.body else our_error(400, "EMPTY_BODY")
        return replace(reply, headers=((frames.WORKERS_HEADER, workers),) if workers else ())

    def close(self):
        self._closed.set()


def read_through(service, folder, output, *options):
    """Run the client; gives its exit code, the seconds it took and how often each page came."""
    begin = time.monotonic()
    with ScriptedServer(service) as server:
        code = read(folder, output, server.url, "--timeout-s", 60, "--retries", 1, *options)
        took_s = time.monotonic() - begin
        service.close()
        server.seen.pop(b"", None)
        return code, took_s, dict(server.seen)


@pytest.mark.parametrize("pack", [1, 4])
def test_a_lost_request_is_sent_again_once_later_ones_are_answered_and_costs_no_try(folder, output, pack):
    pages = list(write_pages(folder, 40).values())
    service = Service(lost=[pages[11]], s_per_page=0.05)
    code, took_s, seen = read_through(service, folder, output, "--pack", pack, "--in-flight", 8)
    assert (code, assert_adds_up(output)["ok"]) == (0, 40)
    assert took_s < 30
    assert seen[pages[11]] == 2
    assert sum(seen.values()) == 40 + pack
    assert report(output)["sent_again"] == pack
    assert {row["tries"] for row in rows(output).values()} == {1}


def test_when_everything_under_way_is_lost_an_empty_page_finds_out(folder, output):
    pages = write_pages(folder, 24)
    service = Service(lost=[pages[name] for name in sorted(pages)[-8:]])  # nothing is sent behind them
    code, took_s, seen = read_through(service, folder, output, "--pack", 1, "--in-flight", 8)
    assert (code, assert_adds_up(output)["ok"]) == (0, 24)
    assert took_s < 30
    assert service.probes >= 1
    assert max(seen.values()) == 2
    assert {row["tries"] for row in rows(output).values()} == {1}


def test_a_server_that_turns_slow_is_waited_for_and_no_page_is_sent_twice(folder, output):
    pages = list(write_pages(folder, 12).values())
    service = Service(s_per_page=0.01, slow={pages[7]: 5 * MARGIN_S, pages[8]: 3 * MARGIN_S})
    code, _, seen = read_through(service, folder, output, "--pack", 1, "--in-flight", 4)
    assert (code, assert_adds_up(output)["ok"]) == (0, 12)
    assert set(seen.values()) == {1}
    assert service.probes >= 1  # it waited its turn behind the slow page, and proved nothing
    assert report(output)["sent_again"] == 0


class TwoWorkers(Service):
    """Script: a second worker reads whatever the first one does not have, and says that both live, or itself alone."""

    def __call__(self, request):
        if request.body in self._slow:
            return self.read(request, "here 1 2")
        if request.body in self._lost and request.times_seen == 1:
            self._workers = "here 2"
            self._closed.wait(60)
        time.sleep(self._s_per_page)
        return self.read(request, self._workers)


def test_a_worker_that_takes_long_beside_a_quick_one_is_waited_for(folder, output):
    pages = list(write_pages(folder, 12).values())
    service = TwoWorkers(slow={pages[3]: 5 * MARGIN_S}, workers="here 2 1")
    code, _, seen = read_through(service, folder, output, "--pack", 1, "--in-flight", 4)
    assert (code, assert_adds_up(output)["ok"]) == (0, 12)
    assert set(seen.values()) == {1}


def test_what_a_worker_held_that_lives_no_more_is_sent_to_the_other(folder, output):
    pages = list(write_pages(folder, 12).values())
    service = TwoWorkers(lost=[pages[3]], workers="here 2 1", s_per_page=0.05)
    code, took_s, seen = read_through(service, folder, output, "--pack", 1, "--in-flight", 4)
    assert (code, assert_adds_up(output)["ok"]) == (0, 12)
    assert took_s < 20
    assert seen[pages[3]] == 2


def test_where_answers_do_not_say_who_lives_requests_wait_for_the_timeout(folder, output):
    pages = list(write_pages(folder, 12).values())
    service = Service(lost=[pages[3]], s_per_page=0.05, workers=None)
    code, took_s, seen = read_through(service, folder, output, "--pack", 1, "--in-flight", 4, "--timeout-s", 3)
    assert (code, report(output)["errors"]) == (3, {"TIMEOUT": 1})
    assert took_s > 3
    assert seen[pages[3]] == 1


def test_before_the_first_answer_nothing_is_abandoned(folder, output):
    pages = list(write_pages(folder, 4).values())
    service = Service(slow={pages[0]: 6 * MARGIN_S})
    code, _, seen = read_through(service, folder, output, "--pack", 1, "--in-flight", 4)
    assert code == 0
    assert set(seen.values()) == {1}
