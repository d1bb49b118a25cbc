"""The same through TorchServe, with one, two and three workers on the device."""

from __future__ import annotations

import importlib.util
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from quintet.operations import archive
from quintet.operations import service as torchserve

from benchmarks.bench.page_sets import PageSet
from benchmarks.bench.rows import Unavailable
from benchmarks.bench.serving import ClientRun, read_pages, start_service
from benchmarks.bench_gpu.busy import GpuUsage
from benchmarks.bench_gpu.in_process import percentiles

WORKERS = (1, 2, 3)
_SCALE_WITHIN_S = 180


@dataclass(frozen=True)
class Served:
    """One number of workers."""

    workers: int
    pages_per_s: float
    failed: int
    busy: float | None
    device_peak_bytes: int | None
    server_peak_bytes: int
    client_peak_bytes: int
    latency_ms: dict[str, float]


@contextmanager
def running(models: Path, work: Path) -> Iterator[torchserve.Service]:
    """A service over an archive of its own, made of the networks that were measured in process.

    Raises:
        Unavailable: the archiver, TorchServe or a Java runtime is missing, or it does not start.
    """
    for module, wheel in (("ts", "torchserve"), ("model_archiver", "torch-model-archiver")):
        if importlib.util.find_spec(module) is None:
            raise Unavailable(f"not available: {wheel} is not installed (put its wheel into the folder of --wheels)")
    store = work / "store"
    store.mkdir(parents=True, exist_ok=True)
    try:
        archive.pack(store / "quintet.mar", networks=models)
    except (subprocess.CalledProcessError, OSError) as error:
        raise Unavailable(f"not available: no archive could be made ({error})") from error
    service = start_service(work / "serve", store)
    try:
        yield service
    finally:
        torchserve.stop(service)


def measure(
    service: torchserve.Service, workers: int, pages: PageSet, latency_requests: int, work: Path, deadline: float
) -> Served:
    """Pages/s of the bulk client and latency of single requests, with a number of workers.

    Args:
        service: with any number of workers; it is given this one.
        workers: on the one device.
        pages: what the client reads in a pass.
        latency_requests: how many single pages are sent one after the other.
        work: where the client writes.
        deadline: of `time.monotonic`; after it no other pass is begun. The first of at least two warms up, the fastest
            of the others counts.

    Raises:
        Unavailable: the server does not give it so many workers.
        RuntimeError: the client failed, with its last words.
    """
    if len(service.workers()) != workers:
        scale(service, workers)
    runs: list[tuple[ClientRun, GpuUsage]] = []
    while len(runs) < 2 or (len(runs) < 4 and time.monotonic() < deadline):
        with GpuUsage() as gpu:
            runs.append((read_pages(service, pages.folder, work / f"results-{workers}", ("--overwrite",)), gpu))
    run, gpu = max(runs[1:], key=lambda pair: pair[0].pages / pair[0].seconds)
    bodies = [page.read_bytes() for page in pages.pages[:latency_requests]]
    return Served(
        workers,
        run.pages / run.seconds,
        int(run.report["failed"]),
        gpu.usage.busy,
        gpu.usage.peak_bytes,
        run.server_peak_bytes,
        run.client_peak_bytes,
        percentiles(_latencies_ms(service, bodies, latency_requests)),
    )


def scale(service: torchserve.Service, workers: int) -> None:
    """Set the number of workers and wait for them.

    Raises:
        Unavailable: the server refuses, or they do not come up.
    """
    answer = requests.put(
        f"{service.management_url}/models/quintet",
        params={"min_worker": str(workers), "max_worker": str(workers), "synchronous": "true"},
        headers={"Authorization": f"Bearer {service.token('management')}"},
        timeout=_SCALE_WITHIN_S,
    )
    if not answer.ok:
        raise Unavailable(f"not available: {workers} workers: {answer.status_code} {answer.text[:200]}")
    deadline = time.monotonic() + _SCALE_WITHIN_S
    while service.workers() != ["READY"] * workers:
        if time.monotonic() > deadline:
            raise Unavailable(f"not available: {workers} workers did not get ready")
        time.sleep(0.25)


def _latencies_ms(service: torchserve.Service, bodies: Sequence[bytes], count: int) -> list[float]:
    """Milliseconds of single requests, one in flight."""
    spent = []
    for number in range(count):
        begin = time.perf_counter()
        service.read(bodies[number % len(bodies)], timeout_s=300).raise_for_status()
        spent.append(1000 * (time.perf_counter() - begin))
    return spent
