"""Workers that die or stall in a real TorchServe, by a page's doing or not; test_read_workers.py has the rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.stage import Server, wait_until
from tests.client.reading import assert_adds_up, count_answers, read, rows, write_pages
from tests.server.echo_service import echo_service

GOOD = 24


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("two"), minWorkers=2, maxWorkers=2, responseTimeout=2)
    yield running
    running.kill()


@pytest.fixture
def server(two_workers) -> Server:
    """The server with both its workers, whatever the test before has done to them."""
    two_workers.wait_until_ready()
    return two_workers


def read_here(server, folder, *options) -> int:
    where = ("--token-file", server.service.token_file, "--in-flight", 16, "--retries", 1)
    return read(folder / "in", folder / "out", server.service.inference_url, *where, *options)


def read_poisoned(server, folder, poison, *options) -> dict[str, tuple[str, int]]:
    """Read good pages and poisonous ones; gives code and tries of those that failed."""
    write_pages(folder / "in", GOOD)
    for name, body in poison.items():
        (folder / "in" / name).write_bytes(body)
    assert read_here(server, folder, *options) == 3
    assert assert_adds_up(folder / "out")["ok"] == GOOD
    known = rows(folder / "out").items()
    return {page: (row["code"], row["tries"]) for page, row in known if row["state"] == "failed"}


@pytest.mark.parametrize(("body", "pack"), [(b"KILL", 4), (b"STALL", 1)])
def test_a_page_that_kills_or_stalls_its_worker_fails_alone_with_a_stable_code(server, tmp_path, body, pack):
    failed = read_poisoned(server, tmp_path, {"part1/poison.jpg": body}, "--pack", pack)
    assert failed == {"part1/poison.jpg": ("WORKER_DIED", 1)}


@pytest.mark.slow
def test_two_pages_of_one_request_that_kill_and_stall_are_both_found(server, tmp_path):
    poison = {"part1/page0001.poison.jpg": b"KILL", "part1/page0001.poison2.jpg": b"STALL"}
    failed = read_poisoned(server, tmp_path, poison, "--pack", 4)
    assert failed == dict.fromkeys(poison, ("WORKER_DIED", 1))


@pytest.mark.slow
@pytest.mark.parametrize("pages", [120])
def test_nothing_is_sent_again_while_workers_are_at_work(tmp_path, pages):
    """Half a second a page, 15 s and more a batch, and workers that end theirs at different times."""
    write_pages(tmp_path / "in", pages)
    workers = {"batchSize": 64, "maxBatchDelay": 100, "minWorkers": 2, "maxWorkers": 2}
    with echo_service(tmp_path / "service", workers, s_per_page=0.5, seconds_at_once=15) as running:
        where = ("--token-file", running.token_file, "--pack", 8, "--in-flight", 180)
        assert read(tmp_path / "in", tmp_path / "out", running.inference_url, *where) == 0
    assert assert_adds_up(tmp_path / "out")["sent_again"] == 0


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("one"), maxBatchDelay=1500)
    yield running
    running.kill()


@pytest.fixture
def gathering(one_worker) -> Server:
    """One worker, ready, and more than a second in which its batch is gathered."""
    if not one_worker.service.is_alive():
        one_worker.start()
    one_worker.wait_until_ready()
    return one_worker


@pytest.mark.slow
def test_requests_that_die_with_a_worker_while_they_are_gathered_are_sent_again(gathering, tmp_path):
    """TorchServe never answers them; without a detector this run takes as long as --timeout-s says."""
    write_pages(tmp_path / "in", GOOD)

    def kill() -> None:
        wait_until(lambda: count_answers(tmp_path / "out") > 0)
        time.sleep(0.5)  # the next batch is being gathered, for another second
        for worker in gathering.workers():
            worker.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    begin = time.monotonic()
    assert read_here(gathering, tmp_path, "--pack", 1, "--timeout-s", 300) == 0
    killer.join()
    assert time.monotonic() - begin < 150
    assert assert_adds_up(tmp_path / "out")["ok"] == GOOD
    assert {row["tries"] for row in rows(tmp_path / "out").values()} == {1}


@pytest.mark.slow
def test_a_service_that_is_stopped_answers_the_batch_it_has_at_hand(gathering):
    answers = []
    sender = threading.Thread(target=lambda: answers.append(gathering.service.read(b"a page").status_code))
    sender.start()
    time.sleep(0.5)  # it is being gathered, for another second
    gathering.stop()
    sender.join()
    assert answers == [200]
    assert not gathering.service.is_alive()
