"""What the wire costs: pages a second through client and TorchServe around a chain that does nothing.

python -m tests.server.wire.wire_rates [--packs 1,4,16,64] [--kb 100,300] [--pages 1024] [--repeats 3]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.family import cpu_s
from tests.server.echo_service import echo_service


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def read_once(service, pages, pack, extra):
    """One run of the client; pages/s, and CPU seconds of client, front end with its gate, and worker."""
    front = [psutil.Process(service.pid), service.front_end()]
    workers = service.front_end().children(recursive=True)
    before = cpu_s(front), cpu_s(workers), os.times()
    with tempfile.TemporaryDirectory() as output:
        command = [
            *(sys.executable, "-m", "quintet_client.cli", "read", str(pages), output),
            *("--server", service.inference_url, "--token-file", str(service.token_file)),
            *("--pack", str(pack), *extra),
        ]
        subprocess.run(command, check=True, capture_output=True)
        report = json.loads((Path(output) / "report.json").read_text())
    after = os.times()
    client_s = after.children_user + after.children_system - before[2].children_user - before[2].children_system
    return report, client_s, cpu_s(front) - before[0], cpu_s(workers) - before[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--packs", default="1,4,8,16,32,64")
    parser.add_argument("--kb", default="100,300")
    parser.add_argument("--pages", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--in-flight", default="192")
    parser.add_argument("--ms-per-page", type=float, default=0.0)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    torchserve_options = {
        "batchSize": options.batch_size,
        "minWorkers": options.workers,
        "maxWorkers": options.workers,
        "maxBatchDelay": 20,
        "responseTimeout": 900,
    }
    say("| body | pack | pages/s | MB/s | client ms/page | front end ms/page | worker ms/page | request p50 s |")
    say("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bodies = [write_bodies(folder, int(kb), options.pages) for kb in options.kb.split(",")]
        with echo_service(folder / "echo", torchserve_options, s_per_page=options.ms_per_page / 1000) as service:
            for pages, kb in bodies:
                measure(service, pages, kb, options)


def write_bodies(folder, kb, count):
    """Noise as large as pages are."""
    pages = folder / f"pages{kb}"
    pages.mkdir()
    for number in range(count):
        (pages / f"{number:05}.jpg").write_bytes(os.urandom(kb * 1000))
    return pages, kb


def measure(service, pages, kb, options):
    packs = [int(pack) for pack in options.packs.split(",")]
    runs = {pack: [] for pack in packs}
    read_once(service, pages, packs[-1], ["--limit", "128"])
    for _ in range(options.repeats):
        for pack in packs:
            runs[pack].append(read_once(service, pages, pack, ["--in-flight", options.in_flight]))
            time.sleep(0.5)
    for pack, done in runs.items():
        count = options.pages
        # From plan to report: the client's start (a second or two of imports) is in its CPU time, not in the rate.
        rate = statistics.median(run[0]["pages_per_s"] for run in done)
        p50 = statistics.median(run[0]["stages"]["request"]["p50_s"] for run in done)
        costs = [statistics.median(run[place] for run in done) / count * 1000 for place in (1, 2, 3)]
        cells = [f"{kb} KB", pack, f"{rate:.0f}", f"{rate * kb / 1000:.0f}", *(f"{c:.2f}" for c in costs), f"{p50:.3f}"]
        say("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
