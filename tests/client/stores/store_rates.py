"""What a store costs beside a folder: pages a second of the bulk client, from S3 to S3, a TorchServe that paces it.

python -m tests.client.stores.store_rates [--command read] [--pages 2000] [--kb 20] [--ms-per-page 6.5] [--repeats 3]

The S3 is moto's, one Python process on the same machine: it is the limit from some 300 objects a second on.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from pyarrow import parquet
from quintet_client.output.ledger import Ledger

from tests.client.stores.s3 import BUCKET, serving
from tests.server.echo_service import echo_service

SERVICE = {"batchSize": 64, "minWorkers": 1, "maxWorkers": 1, "maxBatchDelay": 20, "responseTimeout": 300}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--kb", type=int, default=20)
    parser.add_argument("--ms-per-page", type=float, default=6.5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--command", choices=("read", "batch"), default="read")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, serving() as store:
        folder = Path(name)
        store.reset()
        store.environment["XDG_CACHE_HOME"] = str(folder / "cache")
        pages = folder / "pages"
        pages.mkdir()
        for number in range(options.pages):
            (pages / f"{number:05}.jpg").write_bytes(os.urandom(options.kb * 1000))
        store.put_folder(pages, "pages")
        pace_s = options.ms_per_page / 1000
        chain = "echo_chain:SteadyChain"
        with echo_service(folder / "echo", SERVICE, chain=chain, s_per_page=pace_s) as service:
            measure(Runs(folder, store, service, options))


class Runs:
    """Runs of the client between a folder and the store; each checks that every page came once."""

    def __init__(self, folder, store, service, options):
        self.folder, self.store, self.service, self.options = folder, store, service, options
        self._made = Counter()

    def __call__(self, source, target):
        command = self.options.command
        self._made[target] += 1
        place = f"out-{command}-{target}-{self._made[target]}"
        output = self.folder / place if target == "folder" else f"s3://{BUCKET}/{place}"
        words = [command, self.folder / "pages" if source == "folder" else f"s3://{BUCKET}/pages", output]
        if command == "read":
            words += ["--server", self.service.inference_url, "--token-file", self.service.token_file]
        else:
            words += ["--archive", self.folder / "echo" / "store" / "quintet.mar"]
        run = [sys.executable, "-m", "quintet_client.cli", *map(str, words)]
        environment = {**self.store.environment, "PYTHONPATH": "tests/server"}
        subprocess.run(run, check=True, capture_output=True, env=environment)
        read = self.store.get if target == "store" else lambda key: (self.folder / key).read_bytes()
        report = json.loads(read(f"{place}/report.json"))
        assert (report["ok"], report["left"]) == (self.options.pages, 0), report
        assert self.ids(command, target, place) == [f"{number:05}.jpg" for number in range(self.options.pages)]
        return report["pages_per_s"]

    def ids(self, command, target, place):
        if command == "read" and target == "folder":
            with Ledger.open(self.folder / place / "ledger.sqlite") as ledger:
                return [row.page_id for row in ledger.rows("ok")]
        local = self.folder / place / "parts"
        if target == "store":
            local.mkdir(parents=True)
            for key in self.store.keys(f"{place}/parts/"):
                (local / key.rsplit("/", 1)[-1]).write_bytes(self.store.get(key))
        return sorted(parquet.read_table(local, columns=["page_id"]).column("page_id").to_pylist())


def measure(run):
    kinds = [("folder", "folder"), ("store", "folder"), ("folder", "store"), ("store", "store")]
    run("folder", "folder")  # warm
    rates = {kind: [] for kind in kinds}
    for _ in range(run.options.repeats):
        for kind in kinds:
            rates[kind].append(run(*kind))
    local = statistics.median(rates["folder", "folder"])
    sys.stdout.write(f"| quintet {run.options.command} | pages/s | least, most | of the folder's |\n")
    sys.stdout.write("|---|---|---|---|\n")
    for (source, target), found in rates.items():
        median = statistics.median(found)
        spread = f"{min(found):.1f}, {max(found):.1f}"
        sys.stdout.write(f"| {source} to {target} | {median:.1f} | {spread} | {median / local:.2f} |\n")


if __name__ == "__main__":
    main()
