"""Heap, direct memory, queue and body limits of config.properties fit together, whatever is sent."""

from __future__ import annotations

import re

import pytest
from quintet.errors import ServiceError
from quintet.operations.front_end import FrontEnd, Memory, cuda_variables
from quintet.operations.gate import ByteBudget
from quintet.pages.settings import Settings
from quintet.pixels.worker_memory import WorkerMemory
from quintet_client.run.services import MOST_BYTES_IN_FLIGHT

from tests.conftest import ROOT

VALUES = dict(re.findall(r"^([a-z_]+)=(.*)$", (ROOT / "config.properties").read_text(), flags=re.MULTILINE))
MEMORY = Memory.from_options(VALUES["vmargs"])
MOST = MEMORY.most_bytes_under_way
LARGEST = int(VALUES["max_request_size"])
THREADS = int(VALUES["number_of_netty_threads"])
# A job without its body: a head of at most 16 KB, as text of two bytes a character, and objects around it.
JOB_BYTES = 40_000


def test_all_copies_of_all_bodies_under_way_fit_into_the_heap() -> None:
    """In their jobs, in the buffer of a batch that holds them all, and in the smaller one that it grew out of."""
    old = MEMORY.heap - MEMORY.young
    jobs = int(VALUES["job_queue_size"]) * JOB_BYTES
    assert jobs < 100 << 20
    assert 3 * MOST + jobs + (100 << 20) < old, "100 MiB: TorchServe itself takes 60"
    # A form is decoded in five arrays, by as many threads at once as there are; what waits has one, in a batch three.
    large, forms = MOST * 3 // 4, THREADS * LARGEST
    assert 5 * min(forms, large) + 3 * (large - min(forms, large)) + jobs + (60 << 20) < old


def test_bodies_as_they_arrive_fit_beside_the_heap() -> None:
    """While a body is put into one piece it is there twice; one that is on its way to the worker, once."""
    assert MEMORY.direct >= 2 * MOST + (64 << 20), "64 MiB: a chunk of 16 for each arena that is in use"


def test_one_batch_fits_into_one_buffer() -> None:
    """Above that TorchServe waits for responseTimeout for a batch that it has not sent."""
    assert MOST < 1 << 31


def test_several_of_the_largest_bodies_fit_and_leave_a_quarter_to_ordinary_ones() -> None:
    budget = ByteBudget(MOST)
    assert sum(budget.take(LARGEST) for _ in range(100)) >= 4
    assert sum(budget.take(300_000) for _ in range(1000)) * 300_000 > MOST // 4 - 300_000
    assert budget.taken <= MOST


def test_a_worker_has_room_for_all_bodies_under_way_as_they_come_and_as_pages_of_frames() -> None:
    assert WorkerMemory.planned(Settings(), threads=2).bodies >= 2 * MOST


def test_one_client_alone_is_not_refused_by_its_bytes() -> None:
    assert MOST_BYTES_IN_FLIGHT <= MOST * 3 // 4


@pytest.mark.parametrize(
    ("vmargs", "words"),
    [
        ("-Xmn128m -XX:MaxDirectMemorySize=1g", "-Xmx"),
        ("-Xmx2g -Xmn128m", "MaxDirectMemorySize"),
        ("-Xmx512m -Xmn128m -XX:MaxDirectMemorySize=1g", "fewer than one request of max_request_size=67108864"),
    ],
)
def test_memory_that_is_not_stated_or_too_small_stops_the_start(tmp_path, vmargs: str, words: str) -> None:
    with pytest.raises(ServiceError, match=words):
        FrontEnd(tmp_path, tmp_path, ["quintet"], {"vmargs": vmargs})


@pytest.mark.parametrize(("size", "in_bytes"), [("2g", 2 << 30), ("300M", 300 << 20), ("64k", 64 << 10), ("77", 77)])
def test_sizes_are_read_as_java_reads_them(size: str, in_bytes: int) -> None:
    vmargs = f"-Xms1m -Xmx{size} -Xmn1m -XX:MaxDirectMemorySize=1m -XX:+UseParallelGC"
    assert Memory.from_options(vmargs).heap == in_bytes


def test_workers_are_told_how_to_keep_a_gpus_memory_unless_the_environment_says_it() -> None:
    memory, plans = (
        ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"),
        ("TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT", "20000"),
    )
    assert cuda_variables({}) == dict([memory, plans])
    for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        assert cuda_variables({name: ""}) == dict([plans])
    assert cuda_variables({plans[0]: "0"}) == dict([memory])
