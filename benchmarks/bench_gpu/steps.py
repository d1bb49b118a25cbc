"""What is measured, step by step, each in a process of its own; `save` keeps what a step has found so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from benchmarks.bench.page_sets import PageSet, repeat_pages
from benchmarks.bench.process_row import ProcessRow
from benchmarks.bench_gpu import in_process
from benchmarks.bench_gpu.options import Options
from benchmarks.bench_gpu.pages import make_pages
from benchmarks.bench_gpu.variants import BASE, VARIANTS, open_chain
from benchmarks.networks import recorded_calls, synchronise

Save = Callable[[dict[str, Any]], None]
TRACE = "recognition-trace.json"


def variant(options: Options, key: str, save: Save) -> None:
    """One variant: start, batches, what it reads, latency; its row grows as it is measured."""
    (chosen,) = (one for one in VARIANTS if one.key == key)
    pages = given_pages(options)
    bodies, largest = [page.read_bytes() for page in pages.pages], max(options.batches)
    begin = time.perf_counter()
    chain = open_chain(options, chosen)
    chain.warm_up()
    synchronise()
    start_s = time.perf_counter() - begin
    row = {**chosen.as_json(), "dtype": str(chain.engine.dtype).removeprefix("torch."), "start_s": start_s}
    save({"row": row})
    measured = in_process.throughput(chain, bodies, largest, options.timed_batches, options.step_s / 3)
    row |= measured.as_json()
    save({"row": row})
    judged = pages.pages[: options.judged_pages]
    read = in_process.read(chain, bodies[: len(judged)], largest)
    results = {page.name: result for page, result in zip(judged, read, strict=True) if result is not None}
    save({"row": row, "results": results})
    row["latency_ms"] = in_process.percentiles(in_process.latencies_ms(chain, bodies, options.latency_requests))
    save({"row": row, "results": results})


def stages(options: Options, _: str, save: Save) -> None:
    """A trace, and the time of a stage and a network: the device is waited for around each, so that is no speed."""
    bodies = [page.read_bytes() for page in given_pages(options).pages[: max(options.batches)]]
    with recorded_calls() as calls:
        chain = open_chain(options, BASE)
        in_process.read(chain, bodies, len(bodies))
    found: dict[str, Any] = {}
    in_process.trace_call(calls, "recognition", options.output.parent / TRACE)
    found["trace"] = TRACE
    save(found)
    found["network_ms"] = in_process.network_times_ms(chain, calls, len(bodies), options.repeats)
    save(found)
    calls.clear()
    found["part_ms"] = in_process.part_times_ms(chain, bodies, len(bodies))
    save(found)


def seed_script(options: Options, _: str, save: Save) -> None:
    """The seed's "before" script on the same machine, warm: RapidAI's five packages, one page at a time."""
    pages = given_pages(options).pages[: options.peer_pages]
    row = ProcessRow({"reader": "seed_script"})
    try:
        row.open(pages)
        visit = row.visit(pages, options.output.parent / "peer")
    finally:
        row.close()
    save({"peer_pages_per_s": visit.pages / visit.seconds})


def batch_sizes(options: Options, _: str, save: Save) -> None:
    """Pages/s a batch size, the largest first."""
    bodies = [page.read_bytes() for page in given_pages(options).pages]
    chain = open_chain(options, BASE)
    chain.warm_up()
    rows = []
    for batch in sorted(options.batches, reverse=True):
        rows.append(in_process.throughput(chain, bodies, batch, options.timed_batches).as_json())
        save({"throughput": rows})


def torchserve(options: Options, _: str, save: Save) -> None:
    """The bulk client through TorchServe with one, two and three workers."""
    from benchmarks.bench_gpu import served  # noqa: PLC0415 - what it needs may not be installed

    work, rows = options.output.parent / "work", []
    pages = repeat_pages(given_pages(options), options.served_pages, work / "pages")
    deadline = time.monotonic() + options.step_s
    with served.running(options.models, work) as service:
        for workers in served.WORKERS:
            rows.append(asdict(served.measure(service, workers, pages, options.latency_requests, work, deadline)))
            save({"served": rows})


def given_pages(options: Options) -> PageSet:
    """The pages that the command has made."""
    return make_pages(options.samples, options.pages, options.output.parent / "pages")
