"""How `quintet batch` grows with nodes: logical ones on this machine, a chain that takes a page's time and no core.

python -m tests.cluster.scaling [--nodes 1,2,4,8] [--ms-per-page 150] [--pages 400]

Pages are counted a node. The rate is that of the parts, from the first one committed to the last: start-up is shown
apart. Efficiency is that rate beside what the actors' own time allows.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from pyarrow import parquet

from tests.cluster.batching import QUINTET, session_of
from tests.server.echo_service import pack_echo

# A head without cores, and nodes of one core each, until standard input is closed.
_NODES = """
import sys
from ray.cluster_utils import Cluster
settings = {"include_dashboard": False, "object_store_memory": 100 << 20, "node_ip_address": "127.0.0.1"}
cluster = Cluster(initialize_head=True, head_node_args={**settings, "num_cpus": 0, "temp_dir": sys.argv[1]})
for _ in range(int(sys.argv[2])):
    cluster.add_node(num_cpus=1, object_store_memory=100 << 20, node_ip_address="127.0.0.1")
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@contextmanager
def ray_nodes(count):
    """Ray with so many nodes of one core; yields the environment and the address."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "TMPDIR": folder,
            "XDG_CACHE_HOME": folder,
        }
        with (Path(folder) / "nodes.log").open("wb") as log:
            head = subprocess.Popen(
                [sys.executable, "-c", _NODES, f"{folder}/r", str(count)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,
                text=True,
            )
        try:
            address = head.stdout.readline().strip()
            assert address, (Path(folder) / "nodes.log").read_text()
            yield environment, address
        finally:
            left = session_of(head.pid)
            head.communicate("", timeout=120)
            for process in left:
                if process.is_running():
                    process.kill()


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
    with tempfile.TemporaryDirectory() as name, ray_nodes(nodes) as (environment, address):
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
                *("--ray", address, "--actors", str(nodes), "--block", str(options.block)),
            ],
            check=True,
            capture_output=True,
            env=environment,
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
