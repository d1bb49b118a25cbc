"""Workers on several GPUs of one host, as far as a machine without any can show it: TorchServe gives them indices."""

import os
import time

import psutil
import pytest
from quintet.errors import ServiceError

from tests.server.echo_service import echo_service

# What TorchServe asks for the number of GPUs. It asks for their load too, which this one does not know.
NVIDIA_SMI = """#!/bin/sh
[ "$1" = --query-gpu=index ] && printf 'index\\n0\\n1\\n'
"""


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    """The environment of a host with two GPUs."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(NVIDIA_SMI)
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


def answers_of_all(service, workers):
    """An answer of every worker that lives, by its pid, to the same page; whoever has waited longest gets the next."""
    found = {}
    ends_at = time.monotonic() + 30
    while len(found) < workers:
        assert time.monotonic() < ends_at, f"{found} of {workers} workers"
        answer = service.read(b"the same page")
        if answer.ok:  # not from one that was killed just now
            found[answer.json()["pid"]] = answer.json()
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "keys", "indices"),
    [(3, {}, [0, 1, 1]), (1, {"deviceIds": [0, 1]}, [0])],
    ids=["in turn, beginning with the second", "those that are named, from the first"],
)
def test_each_worker_has_a_gpu_and_its_successor_the_same(tmp_path, two_gpus, workers, keys, indices):
    options = {"batchSize": 1, "maxBatchDelay": 0, "minWorkers": workers, "maxWorkers": workers, **keys}
    with echo_service(tmp_path / "service", options, two_gpus, chain="echo_chain:PlacedChain") as service:
        before = answers_of_all(service, workers)
        assert sorted(answer["device_index"] for answer in before.values()) == indices
        own = {"pid", "device_index", "request_id"}
        pages = [{key: value for key, value in answer.items() if key not in own} for answer in before.values()]
        assert all(page == pages[0] for page in pages)
        assert pages[0]["frozen"]

        killed = next(iter(before))
        psutil.Process(killed).kill()
        after = answers_of_all(service, workers)
        (successor,) = set(after) - set(before)
        assert after[successor]["device_index"] == before[killed]["device_index"]


def test_gpus_that_torchserve_cannot_count_are_refused_in_words(tmp_path, two_gpus):
    """It reads numbers alone, and says no more than `For input string`."""
    two_gpus["CUDA_VISIBLE_DEVICES"] = "GPU-0b1a,GPU-2c3d"
    refused = pytest.raises(ServiceError, match=r"CUDA_VISIBLE_DEVICES is 'GPU-0b1a,GPU-2c3d'; .* such as 0,1")
    with refused, echo_service(tmp_path / "service", environment=two_gpus):
        pass
