"""How these tests run `quintet batch`: on a Ray of its own, or on one that several tests share."""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from quintet_client.input.addresses import Address
from quintet_client.output.parts.output import PartsOutput

QUINTET = Path(sys.executable).with_name("quintet")
# The head of a cluster, until its standard input is closed.
_HEAD = """
import ray, sys
ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=200 << 20,
         _node_ip_address="127.0.0.1", _temp_dir=sys.argv[1])
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
ray.shutdown()
"""


@contextmanager
def ray_cluster():
    """A Ray of two cores that is there already; yields the environment and options that join it."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_agent_register_timeout_ms": "120000",
            "TMPDIR": folder,  # where nodes unpack archives
        }
        with (Path(folder) / "head.log").open("wb") as log:
            head = subprocess.Popen(
                [sys.executable, "-c", _HEAD, f"{folder}/r"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,
                text=True,
            )
        try:
            address = head.stdout.readline().strip()
            assert address, (Path(folder) / "head.log").read_text()
            yield environment, ("--ray", address)
        finally:
            left = session_of(head.pid)
            head.communicate("", timeout=60)
            for process in left:
                if process.is_running():
                    process.kill()


class Batch:
    """One `quintet batch` under way; what it says goes into a file."""

    def __init__(self, source, output, archive, *options, environment=None, folder=None, cache="cache"):
        """Start it in the folder of both, so that their names are relative; addresses need one that is given."""
        folder = folder or output.parent
        self.log = folder / f"{output.name}.log"
        self.cache = folder / cache
        places = [place if isinstance(place, Address) else place.relative_to(folder) for place in (source, output)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [QUINTET, "batch", *map(str, places), "--archive", archive, *map(str, options)],
                cwd=folder,
                stdout=log,
                stderr=log,
                env={**(environment or os.environ), "XDG_CACHE_HOME": str(self.cache)},
            )
        self.pid = self._process.pid

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self) -> None:
        """Kill it if it still runs."""
        self._process.kill()
        self._process.wait()

    def ended(self, timeout_s) -> int:
        """The exit code."""
        try:
            return self._process.wait(timeout_s)
        finally:
            self.end()

    def wait(self, timeout_s=240) -> int:
        """The exit code; what it said is printed, for a test that fails."""
        try:
            return self.ended(timeout_s)
        finally:
            sys.stdout.write(self.said())

    def driver(self):
        """The process that talks to Ray, once it is there."""
        return next(
            (one for one in named(self.pid, "ray_driver") if "cluster.session" not in " ".join(one.cmdline())), None
        )

    def session(self):
        """The number of the session that it is in, once it is there."""
        return (driver := self.driver()) and os.getsid(driver.pid)


def named(pid: int, word: str) -> list[psutil.Process]:
    """Processes below one whose command line holds a word."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if word in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def session_of(leader: int) -> list[psutil.Process]:
    """All processes of a session that live; init may take a while to collect the dead."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return found


def wait_for(condition, timeout_s=120):
    """Wait until something is so, and give it."""
    ends_at = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < ends_at, "waited in vain"
        time.sleep(0.05)
    return found


def parts(output: Path) -> list[str]:
    return sorted(path.name for path in output.glob("parts/*.parquet"))


def ends(output: Path | Address) -> dict[str, dict]:
    """What the parts hold of each item: the end that counts, read by somebody who was not there."""
    with tempfile.TemporaryDirectory() as elsewhere:
        before, os.environ["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME"), elsewhere
        try:
            there = PartsOutput(output)
            there.sync()
            from quintet_client.output.ledger import Ledger  # noqa: PLC0415 - beside its one use

            with Ledger.open(there.ledger) as ledger:
                rows = list(ledger.all_rows())
            read = {row.page_id: there.read_page(row.page_id) for row in rows if row.state == "ok"}
            results = {page_id: {"document": found, "result": json.loads(found)} for page_id, found in read.items()}
            return {row.page_id: row._asdict() | results.get(row.page_id, {}) for row in rows}
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def report(output: Path) -> dict:
    """report.json, which adds up."""
    counts = json.loads((output / "report.json").read_bytes())
    assert counts["inputs"] == counts["ok"] + counts["failed"] + counts["skipped"] + counts["left"]
    return counts
