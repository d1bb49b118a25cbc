"""How `quintet batch` grows with nodes: logical ones on this machine, a chain that takes a page's time and no core.

python -m tests.cluster.scaling [--nodes 1,2,4,8] [--ms-per-page 150] [--pages 400]

Pages are counted a node. The rate is that of the parts, from the first one committed to the last: start-up is shown
apart. Efficiency is that rate beside what the actors' own time allows.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pyarrow import parquet

from tests.cluster.batching import QUINTET
from tests.cluster.nodes import ray_nodes
from tests.server.echo_service import pack_echo


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", default="1,2,4,8")
    parser.add_argument("--ms-per-page", type=float, default=150)
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--block", type=int, default=16)
    options = parser.parse_args()
    sys.stdout.write("| nodes | pages | start-up s | pages/s | possible | efficiency |\n|---|---|---|---|---|---|\n")
    for nodes in map(int, options.nodes.split(",")):
        measure(nodes, options)


def measure(nodes, options):
    count = nodes * options.pages
    with tempfile.TemporaryDirectory() as name, ray_nodes(nodes) as ray:
        folder = Path(name)
        (folder / "in").mkdir()
        (folder / "store").mkdir()
        for number in range(count):
            (folder / "in" / f"{number:06}.jpg").write_bytes(b"page %d" % number)
        archive = pack_echo(folder / "store", chain="echo_chain:SteadyChain", s_per_page=options.ms_per_page / 1000)
        begin = time.time()
        subprocess.run(
            [
                *(QUINTET, "batch", folder / "in", folder / "out", "--archive", archive / "quintet.mar"),
                *("--ray", ray.address, "--actors", str(nodes), "--block", str(options.block)),
            ],
            check=True,
            capture_output=True,
            env=ray.environment,
        )
        report = json.loads((folder / "out" / "report.json").read_text())
        assert (report["ok"], report["left"]) == (count, 0), report
        committed = sorted((path.stat().st_mtime, path) for path in (folder / "out" / "parts").iterdir())
        (first_at, first), (last_at, _last) = committed[0], committed[-1]
        pages = count - parquet.read_metadata(first).num_rows
        rate, possible = pages / (last_at - first_at), nodes * 1000 / options.ms_per_page
        cells = (nodes, count, f"{first_at - begin:.1f}", f"{rate:.1f}", f"{possible:.1f}", f"{rate / possible:.2f}")
        sys.stdout.write("| " + " | ".join(map(str, cells)) + " |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
