"""Bodies that are made to cost much, through the real service: its answers, its worker's memory, its other clients."""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psutil
import pytest
import requests
from quintet.frame import frames
from quintet.operations import service as torchserve
from quintet.pages.settings import Settings
from quintet.pixels.worker_memory import WorkerMemory

from tests.conftest import draw_page, encode
from tests.family import WORKER, processes_below
from tests.fuzz.bombs import BOMBS, png

pytestmark = pytest.mark.slow
PAGE = encode(draw_page(["Quintet reads pages"], (500, 300)), "JPEG")
MB = 1_000_000
REFUSED = {"IMAGE_TOO_COMPLEX", "IMAGE_TOO_LARGE"}
OUTCOMES = dict.fromkeys(BOMBS, REFUSED) | {
    "PNG, RGBA of 9,990 x 9,990": {"ok"},
    "PNG, RGBA of 16 bits, 9,990 x 9,990": {"ok"},
    "JPEG of 50 scans": {"ok"},
    "WebP with a canvas of 9,990 x 9,990": {"IMAGE_DECODE_FAILED"},
    "GIF with a screen of 9,990 x 9,990": {"ok"},
}


class Worker:
    """The worker of a service with its codecs."""

    def __init__(self, service: torchserve.Service) -> None:
        (self._process,) = processes_below(service.pid, WORKER)
        self.peak_bytes = 0

    def memory_bytes(self) -> int:
        """What they hold; what they share counts once."""
        held = 0
        for one in (self._process, *self._process.children()):
            with suppress(psutil.NoSuchProcess):
                held += one.memory_full_info().pss
        return held

    def cpu_s(self) -> float:
        """Time of a CPU that they have taken since they started."""
        took = 0.0
        for one in (self._process, *self._process.children()):
            with suppress(psutil.NoSuchProcess):
                took += sum(one.cpu_times()[:4])
        return took

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take note of the most memory meanwhile."""
        over, self.peak_bytes = threading.Event(), 0

        def watch() -> None:
            while not over.wait(0.02):
                self.peak_bytes = max(self.peak_bytes, self.memory_bytes())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


@pytest.fixture(scope="module")
def worker(service: torchserve.Service) -> Worker:
    return Worker(service)


def read_together(service: torchserve.Service, bodies: list[bytes]) -> list[str]:
    """What becomes of the pages of one request: ok, or their codes."""
    headers = {"Authorization": f"Bearer {service.token('inference')}", "Content-Type": frames.MEDIA_TYPE}
    url = f"{service.inference_url}/predictions/quintet"
    answer = requests.post(url, data=frames.pack_pages(bodies), headers=headers, timeout=600)
    assert answer.status_code == 200, answer.content
    pages = [json.loads(page.body) for page in frames.unpack_answers(answer.content)]
    return [page.get("error", {}).get("code", "ok") for page in pages]


def least_growth(rests: list[int]) -> int:
    """What each request leaves behind; what only some do is glibc's arenas, up to as much as they ever held."""
    return min(after - before for before, after in itertools.pairwise(rests))


def test_a_request_of_six_largest_pages_stays_within_the_ceiling_and_leaves_nothing_behind(
    service: torchserve.Service, worker: Worker
) -> None:
    largest, rests = png((9_990, 9_990)), []
    for pages in (6, 2, 2, 2):
        with worker.watched():
            begin = time.monotonic()
            assert read_together(service, [largest] * pages) == ["ok"] * pages
            seconds = time.monotonic() - begin
        rests.append(worker.memory_bytes())
        peak = worker.peak_bytes / MB
        sys.stdout.write(f"\n{pages} pages: {seconds:.1f} s, peak {peak:.0f} MB, then {rests[-1] / MB:.0f} MB\n")
        assert worker.peak_bytes < WorkerMemory.planned(Settings(), len(os.sched_getaffinity(0))).total
    assert least_growth(rests) < 50 * MB


def test_what_large_bodies_take_goes_back_to_the_system(service: torchserve.Service, worker: Worker) -> None:
    body, rests = bytes(50 * MB), []
    for _ in range(3):
        with worker.watched(), ThreadPoolExecutor(5) as threads:
            statuses = [answer.status_code for answer in threads.map(service.read, [body] * 5)]
        assert set(statuses) <= {400, 503}  # no image, or more bytes than the front end takes at once
        time.sleep(1)
        rests.append(worker.memory_bytes())
        sys.stdout.write(f"\nfive bodies: peak {worker.peak_bytes / MB:.0f} MB, then {rests[-1] / MB:.0f} MB\n")
    assert least_growth(rests) < 50 * MB


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_made_to_cost_much_costs_its_neighbour_no_more_than_a_page_of_its_size(
    service: torchserve.Service, worker: Worker, name: str
) -> None:
    body = BOMBS[name]()
    read_together(service, [PAGE])
    before, begin = worker.cpu_s(), time.monotonic()
    with worker.watched():
        outcome, neighbour = read_together(service, [body, PAGE])
    took, seconds = worker.cpu_s() - before, time.monotonic() - begin
    peak, rest = worker.peak_bytes / MB, worker.memory_bytes() / MB
    sys.stdout.write(f"\n{name} ({len(body) / MB:.2f} MB): {outcome}, {seconds:.1f} s, CPU {took:.1f} s, ")
    sys.stdout.write(f"peak {peak:.0f} MB, then {rest:.0f} MB\n")
    assert outcome in OUTCOMES[name]
    assert neighbour == "ok"
    assert took < (12.0 if outcome == "ok" else 8.0)  # what is refused took 3 to 7 s beside other work
    assert worker.peak_bytes < WorkerMemory.planned(Settings(), len(os.sched_getaffinity(0))).total
