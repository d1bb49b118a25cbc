"""What `make stop` waits for, and what it leaves."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests
from quintet.frame import frames
from quintet.operations import service as torchserve

from tests.server.echo_service import echo_service


def send(service: torchserve.Service, pages: int) -> int:
    headers = {"Authorization": f"Bearer {service.token('inference')}", "Content-Type": frames.MEDIA_TYPE}
    url = f"{service.inference_url}/predictions/quintet"
    return requests.post(url, data=frames.pack_pages([b"page"] * pages), headers=headers, timeout=60).status_code


@pytest.mark.slow
def test_a_drain_waits_for_the_slowest_of_several_workers_and_stopping_leaves_nothing(tmp_path: Path) -> None:
    two_workers = {"batchSize": 1, "maxBatchDelay": 5, "minWorkers": 2, "maxWorkers": 2}
    with echo_service(tmp_path / "echo", two_workers, s_per_page=0.3) as running, ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(send, running, pages) for pages in (1, 8)]
        while running.pages_in_progress() < 8:
            assert not all(answer.done() for answer in answers)
            time.sleep(0.05)
        family = psutil.Process(running.pid).children(recursive=True)
        torchserve.drain(running)
        assert [answer.done() for answer in answers] == [True, True]
        assert [answer.result() for answer in answers] == [200, 200]
    assert len(family) >= 2
    assert torchserve.find(running.run_dir) is None
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
