"""`quintet read` against a real TorchServe whose workers really die."""

import threading
import time

import pytest

from tests.client.reading import assert_adds_up, count_answers, read, report, rows, wait_until, write_pages
from tests.family import WORKER, processes_below


def read_here(echo, folder, output, *options):
    return read(folder, output, echo.inference_url, "--token-file", echo.token_file, *options)


@pytest.mark.parametrize("pack", [1, 4])
def test_a_page_that_kills_its_worker_takes_no_other_page_down(echo, folder, tmp_path, pack):
    write_pages(folder, 12)
    (folder / "poison.jpg").write_bytes(b"KILL")
    output = tmp_path / "out"
    assert read_here(echo, folder, output, "--pack", pack, "--retries", 1) == 3
    counts = assert_adds_up(output)
    assert (counts["ok"], counts["errors"]) == (12, {"WORKER_DIED": 1})
    assert rows(output)["poison.jpg"]["tries"] == 1


def test_a_worker_killed_from_outside_costs_no_page(echo, folder, tmp_path):
    write_pages(folder, 100)
    output = tmp_path / "out"

    wait_until(lambda: set(echo.workers()) == {"READY"})
    (doomed,) = processes_below(echo.pid, WORKER)

    def kill():
        # Answers come after 0.6 s of work, the next batch is in work 0.3 s later; for one that is still being gathered
        # see tests/chaos/test_workers.py.
        wait_until(lambda: count_answers(output))
        time.sleep(0.3)
        doomed.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    assert read_here(echo, folder, output, "--pack", 16, "--in-flight", 32, "--retries", 1) == 0
    killer.join()
    assert processes_below(echo.pid, WORKER) != [doomed]
    assert assert_adds_up(output)["ok"] == 100
    assert report(output)["errors"] == {}
