"""How these tests run `quintet read`: in this process where they can, as a process of its own where it is killed."""

import json
import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from quintet_client.cli import main

from tests.client.scripted_server import Reply, Request, page_answer
from tests.clients import Client
from tests.family import processes_below

CLIENT_ROOT = Path(__file__).parents[2] / "client"


def read(source: Path, output: Path, url: str, *options: object) -> int:
    """Run the command here, reading files in this process; gives its exit code."""
    with _handlers_restored():
        return main(["read", str(source), str(output), "--server", url, "--loaders", "0", *map(str, options)])


def start_client(source: Path, output: Path, url: str, *options: object) -> Client:
    """Start the command as a process of its own."""
    arguments = ["read", source, output, "--server", url, *options]
    return Client(arguments, Path(tempfile.mkdtemp(dir=output.parent)) / "client.log")


def finish(client: Client, timeout_s: float = 90) -> tuple[int, str]:
    """Wait for a started client; gives its exit code and what it said."""
    return client.wait(timeout_s), client.said()


def write_pages(folder: Path, count: int) -> dict[str, bytes]:
    """Write small files that a scripted server takes for images."""
    pages = {f"part{i % 3}/page{i:04}.jpg": f"page {i} ".encode() * 50 for i in range(count)}
    for name, body in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    return pages


def answers(output: Path) -> dict[str, bytes]:
    """Give the bytes of every answer by page id."""
    root = output / "pages"
    return {str(path.relative_to(root)).removesuffix(".json"): path.read_bytes() for path in root.rglob("*.json")}


def report(output: Path) -> dict:
    return json.loads((output / "report.json").read_bytes())


def rows(output: Path) -> dict[str, dict]:
    """Give the ledger's rows by page id."""
    connection = sqlite3.connect(output / "ledger.sqlite")
    connection.row_factory = sqlite3.Row
    try:
        return {row["page_id"]: dict(row) for row in connection.execute("SELECT * FROM pages")}
    finally:
        connection.close()


def count_answers(output: Path) -> int:
    return len(answers(output)) if (output / "pages").is_dir() else 0


def wait_until(condition, timeout_s: float = 60) -> None:
    ends_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_at, "waited in vain"
        time.sleep(0.02)


def once_workers_load(script: Callable[[Request], Reply] = page_answer) -> Callable[[Request], Reply]:
    """Script: no answer before a client here has workers that load; until then it reads the first pages itself."""
    # Watched from now on: where its first request is late, they may have loaded all there is and ended.
    watched = ThreadPoolExecutor(1).submit(wait_until, _workers_load)

    def answer(request: Request) -> Reply:
        watched.result()
        return script(request)

    return answer


def _workers_load() -> bool:
    """Whether a client has processes whose parent leads their group."""
    for process in processes_below(os.getpid(), "quintet_client"):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == process.ppid():
                return True
    return False


def assert_adds_up(output: Path) -> dict:
    """Check the promise: inputs = ok + failed + skipped, and the files are those of the ok rows."""
    counts = report(output)
    assert counts["inputs"] == counts["ok"] + counts["failed"] + counts["skipped"]
    assert counts["left"] == 0
    known = rows(output)
    assert set(answers(output)) == {page for page, row in known.items() if row["state"] == "ok"}
    assert {row["state"] for row in known.values()} <= {"ok", "failed"}
    return counts


@contextmanager
def _handlers_restored():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
