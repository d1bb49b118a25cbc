"""How `quintet batch` grows with nodes: logical ones on this machine, a chain that takes a page's time and no core.

python -m tests.cluster.scaling [--nodes 1,2,4,8] [--ms-per-page 150] [--pages 400]

Pages are counted a node. Efficiency is a rate beside what the actors' own time allows. `whole` is the rate of the parts
from the first one committed to the last: actors that start after the first and end before the last are in it. `middle`
is that of the second and third quarter of the parts, when all of them run. Start-up is shown apart.
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
    sys.stdout.write("| nodes | pages | start-up s | possible pages/s | whole | middle |\n|---|---|---|---|---|---|\n")
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
        committed = (folder / "out" / "parts").iterdir()
        parts = [(path.stat().st_mtime, parquet.read_metadata(path).num_rows) for path in committed]
        parts, possible = sorted(parts), nodes * 1000 / options.ms_per_page
        quarter = len(parts) // 4
        whole, middle = (rate(some) / possible for some in (parts, parts[quarter:-quarter]))
        cells = (nodes, count, f"{parts[0][0] - begin:.1f}", f"{possible:.1f}", f"{whole:.2f}", f"{middle:.2f}")
        sys.stdout.write("| " + " | ".join(map(str, cells)) + " |\n")
        sys.stdout.flush()


def rate(parts):
    """Pages a second of parts that were committed one after another, the first of them left out."""
    return sum(pages for _, pages in parts[1:]) / (parts[-1][0] - parts[0][0])


if __name__ == "__main__":
    main()
