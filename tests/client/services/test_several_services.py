"""Two real TorchServes read one folder; one is killed, comes late, or has another model."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.chaos.stage import Server
from tests.client.reading import answers, assert_adds_up, count_answers, read, report, rows, wait_until, write_pages

PAGES = 600
_OPTIONS = {"batchSize": 4, "maxBatchDelay": 5, "minWorkers": 1, "maxWorkers": 1}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A fast service and one that takes three times as long for a page."""
    folder = tmp_path_factory.mktemp("pair")
    with ThreadPoolExecutor(2) as pool:
        fast = pool.submit(Server, folder / "fast", cheap={"s_per_page": 0.02}, **_OPTIONS)
        slow = pool.submit(Server, folder / "slow", cheap={"s_per_page": 0.06}, **_OPTIONS)
    yield fast.result(), slow.result()
    for server in (fast.result(), slow.result()):
        server.kill()


@pytest.fixture
def both(pair):
    """Both of them, ready, whatever the test before has done to them."""
    for server in pair:
        if not server.service.is_alive():
            server.start()
    return pair


def pages_read(server: Server) -> int:
    """How many pages a service has read since it was started."""
    headers = {"Authorization": f"Bearer {server.service.token('API')}"}
    text = requests.get(f"{server.service.metrics_url}/metrics", headers=headers, timeout=10).text
    return int(sum(map(float, re.findall(r'^quintet_pages_total\{[^}]*outcome="ok"[^}]*\} (\S+)', text, re.MULTILINE))))


def read_at(servers, folder, output, *options) -> int:
    words = [word for server in servers for word in ("--token-file", server.service.token_file)]
    words += [word for server in servers[1:] for word in ("--server", server.service.inference_url)]
    return read(folder, output, servers[0].service.inference_url, *words, *options)


def assert_each_page_once(pages, output) -> None:
    assert assert_adds_up(output)["ok"] == len(pages)
    assert set(answers(output)) == set(pages)
    assert {row["tries"] for row in rows(output).values()} == {1}


@pytest.mark.slow
def test_two_services_share_the_pages_roughly_by_their_speed(both, folder, output):
    pages = write_pages(folder, PAGES)
    before = [pages_read(server) for server in both]
    assert read_at(both, folder, output, "--in-flight", 48) == 0
    fast, slow = (pages_read(server) - earlier for server, earlier in zip(both, before, strict=True))
    assert_each_page_once(pages, output)
    assert fast + slow == PAGES
    assert 1.7 < fast / slow < 4.3


@pytest.mark.slow
def test_a_service_that_is_killed_costs_no_page_and_is_used_again_when_it_is_back(both, folder, output):
    pages = write_pages(folder, 2 * PAGES)
    fast, slow = both

    def kill_and_start() -> None:
        wait_until(lambda: count_answers(output) > PAGES // 4)
        fast.kill()
        fast.start()

    killer = threading.Thread(target=kill_and_start)
    killer.start()
    assert read_at((fast, slow), folder, output, "--in-flight", 48, "--retries", 1, "--give-up-s", 2) == 0
    killer.join()
    assert_each_page_once(pages, output)
    assert pages_read(fast) > PAGES // 2  # since it is back
    assert report(output)["sent_again"] < 100


@pytest.mark.slow
def test_one_comes_late_then_both_go_and_the_next_run_goes_on(both, folder, output):
    pages = write_pages(folder, 400)
    late, there = both
    late.kill()

    def start_and_kill() -> None:
        wait_until(lambda: count_answers(output) > 0)
        late.start()
        wait_until(lambda: pages_read(late) > 50)
        for server in both:
            server.kill()

    playing = threading.Thread(target=start_and_kill)
    playing.start()
    assert read_at((late, there), folder, output, "--in-flight", 48, "--give-up-s", 2) == 4
    playing.join()
    assert 0 < report(output)["left"] < len(pages)
    late.start()
    assert read_at([late], folder, output) == 0
    assert set(answers(output)) == set(pages)
    assert_adds_up(output)


@pytest.mark.slow
def test_a_service_with_another_fingerprint_is_refused_in_words(both, folder, output, caplog, tmp_path):
    write_pages(folder, 10)
    other = Server(tmp_path / "other", cheap={"fingerprint": "of another model"})
    try:
        assert read_at((both[0], other), folder, output) == 2
    finally:
        other.kill()
    assert f"{other.service.inference_url} has model of another model" in caplog.text
    assert count_answers(output) == 0
