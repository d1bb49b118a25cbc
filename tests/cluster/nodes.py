"""Ray of several logical nodes on this machine, which come and go: a head without cores, and nodes of one core."""

import os
import secrets
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.cluster.batching import session_of, wait_for

# Does what the lines of its standard input say, and answers each with a line, until that is closed. Ray gives a node's
# daemons seconds to start, which are not enough on a machine that is busy.
_NODES = """
import os, signal, sys
from ray.cluster_utils import Cluster
settings = {"include_dashboard": False, "object_store_memory": 100 << 20, "node_ip_address": "127.0.0.1"}
cluster = Cluster(initialize_head=True, head_node_args={**settings, "num_cpus": 0, "temp_dir": sys.argv[1]})
print(cluster.address, flush=True)
nodes = []
for line in sys.stdin:
    if line == "add\\n":
        for tries in range(3):
            try:
                nodes.append(cluster.add_node(num_cpus=1, object_store_memory=100 << 20, node_ip_address="127.0.0.1"))
                break
            except Exception as error:
                print(f"try {tries + 1}: {error}", file=sys.stderr)
                for node in cluster.worker_nodes - set(nodes):
                    cluster.remove_node(node, allow_graceful=False)
        else:
            sys.exit("no node could be added")
    else:
        node = nodes.pop()
        os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        cluster.remove_node(node, allow_graceful=False)
    print("done", flush=True)
cluster.shutdown()
"""
_START_TRIES = 5
_ACTOR = "MapWorker(MapBatches(BlockReader))"


class RayNodes:
    """One such Ray.

    Attributes:
        environment: of whoever joins it.
        address: its head's.
        folder: for temporary files of its nodes.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        """Start a head, with this environment, and no node."""
        self.folder = folder
        self.environment = {
            **environment,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_agent_register_timeout_ms": "120000",
            "TMPDIR": str(folder),
            "XDG_CACHE_HOME": str(folder),
        }
        (folder / "ray").mkdir()  # where Ray notes the address
        for tries in range(_START_TRIES):
            with (folder / "nodes.log").open("ab") as log:
                self._head = subprocess.Popen(
                    [sys.executable, "-c", _NODES, f"{folder}/r{tries}"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self.environment,
                    start_new_session=True,
                    text=True,
                )
            self.address = self._head.stdout.readline().strip()
            if self.address:
                return
            self.close()
        raise AssertionError((folder / "nodes.log").read_text())

    def add(self) -> None:
        """Add a node, and wait until it is there."""
        self._do("add")

    def kill(self) -> None:
        """SIGKILL of the raylet of the node that came last, with which its actors die."""
        self._do("kill")

    def actors(self) -> list[psutil.Process]:
        """The processes that read pages."""
        found = []
        for process in session_of(self._head.pid):
            try:
                if _ACTOR in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def close(self) -> None:
        """End it; Ray's agents would outlive it by minutes."""
        there = session_of(self._head.pid)
        try:
            self._head.communicate("", timeout=120)
        finally:
            for process in [*there, *session_of(self._head.pid)]:
                if process.is_running():
                    process.kill()
            self._head.wait()
            wait_for(lambda: not session_of(self._head.pid), 30)

    def _do(self, word: str) -> None:
        self._head.stdin.write(f"{word}\n")
        self._head.stdin.flush()
        assert self._head.stdout.readline() == "done\n", (self.folder / "nodes.log").read_text()


@contextmanager
def ray_nodes(count, environment=None):
    """Yield a Ray with so many nodes."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        nodes = RayNodes(Path(folder), environment or dict(os.environ))
        try:
            for _ in range(count):
                nodes.add()
            yield nodes
        finally:
            nodes.close()
