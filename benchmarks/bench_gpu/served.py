"""The same through TorchServe, with one and with two workers on the device."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
import service as torchserve

from benchmarks.bench.page_sets import PageSet
from benchmarks.bench.rows import Unavailable
from benchmarks.bench.serving import ClientRun, read_pages, start_service
from benchmarks.bench_gpu.busy import GpuUsage
from benchmarks.bench_gpu.in_process import percentiles

WORKERS = (1, 2)
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


def measure(models: Path, pages: PageSet, repeats: int, requests_count: int, work: Path) -> list[Served]:
    """One record a number of workers; the fastest of the repeats counts, the first of which warms up.

    Raises:
        Unavailable: TorchServe cannot run here.
    """
    service = start_service(work / "serve", models)
    try:
        return [_measure(service, workers, pages, repeats, requests_count, work) for workers in WORKERS]
    finally:
        torchserve.stop(service)


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


def _measure(
    service: torchserve.Service, workers: int, pages: PageSet, repeats: int, requests_count: int, work: Path
) -> Served:
    if len(service.workers()) != workers:
        scale(service, workers)
    runs: list[tuple[ClientRun, GpuUsage]] = []
    for _ in range(1 + repeats):
        with GpuUsage() as gpu:
            runs.append((read_pages(service, pages.folder, work / f"results-{workers}", ("--overwrite",)), gpu))
    run, gpu = max(runs[1:], key=lambda pair: pair[0].pages / pair[0].seconds)
    return Served(
        workers,
        run.pages / run.seconds,
        int(run.report["failed"]),
        gpu.usage.busy,
        gpu.usage.peak_bytes,
        run.server_peak_bytes,
        run.client_peak_bytes,
        percentiles(_latencies_ms(service, [page.read_bytes() for page in pages.pages], requests_count)),
    )


def _latencies_ms(service: torchserve.Service, bodies: Sequence[bytes], count: int) -> list[float]:
    """Milliseconds of single requests, one in flight."""
    spent = []
    for number in range(count):
        begin = time.perf_counter()
        service.read(bodies[number % len(bodies)], timeout_s=300).raise_for_status()
        spent.append(1000 * (time.perf_counter() - begin))
    return spent
