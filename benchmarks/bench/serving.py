"""A service on free ports in a folder of its own, and `quintet read` against it: never the one on the usual ports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quintet.errors import SettingsError
from quintet.operations import service as torchserve
from quintet.operations.names import DEFAULT_CHAIN

from benchmarks.bench.memory import PeakMemory
from benchmarks.bench.rows import Unavailable
from benchmarks.networks import MODEL_STORE

_OK = (0, 3)  # every page read; all but some read


@dataclass(frozen=True)
class ClientRun:
    """What one `quintet read` came to.

    Attributes:
        report: its report.json.
        log: what it said.
        server_peak_bytes: most resident memory of the server and its workers meanwhile.
        client_peak_bytes: of the client and its loaders.
    """

    report: dict[str, Any]
    log: Path
    server_peak_bytes: int
    client_peak_bytes: int

    @property
    def pages(self) -> int:
        """Pages that were read."""
        return int(self.report["ok"])

    @property
    def seconds(self) -> float:
        """From the listing of INPUT to the last row of the ledger, without the start of Python."""
        return float(self.report["seconds"])


def start_service(
    run_dir: Path,
    model_store: Path = MODEL_STORE,
    environment: Mapping[str, str] | None = None,
    chain: str = DEFAULT_CHAIN,
) -> torchserve.Service:
    """Start the archive's service and return when it has read a page.

    Args:
        run_dir: made if it is missing.
        model_store: holds the chain's archive.
        environment: added to the service's.
        chain: what is served.

    Raises:
        Unavailable: there is no archive, no Java runtime or no TorchServe, or it did not start.
    """
    try:
        return torchserve.start(
            run_dir.resolve(),
            chains=[chain],
            properties=free_addresses(),
            model_store=model_store.resolve(),
            environment=environment,
        )
    except (torchserve.ServiceError, SettingsError, OSError, subprocess.CalledProcessError) as error:
        first = str(error).strip().splitlines()[0]
        raise Unavailable(f"not available: {first} (logs in {run_dir / 'logs'})") from error


def free_addresses() -> dict[str, str]:
    """Addresses for a service, on ports of the loopback address that nothing listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    http = zip(("inference", "management", "metrics"), ports[:3], strict=True)
    grpc = zip(("inference", "management"), ports[3:], strict=True)
    return {f"{name}_address": f"http://127.0.0.1:{port}" for name, port in http} | {
        f"grpc_{name}_port": str(port) for name, port in grpc
    }


def client_options() -> str:
    """What `quintet read --help` says, to tell which options this version has."""
    return _run_client(["--help"]).stdout


def read_pages(service: torchserve.Service, pages: Path, output: Path, options: Sequence[str] = ()) -> ClientRun:
    """Run the bulk client as a process of its own, on the service's first model.

    Raises:
        RuntimeError: it ended with anything but pages read, with its last words.
    """
    where = ("--server", service.inference_url, "--token-file", str(service.token_file), "--model", service.models[0])
    command = [str(pages), str(output), *where]
    log = output.parent / f"{output.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as words, ExitStack() as watched:
        process = subprocess.Popen([*_COMMAND, *command, *options], stdout=words, stderr=words, env=_environment())  # noqa: S603 - our own words
        server = watched.enter_context(PeakMemory(service.pid))
        client = watched.enter_context(PeakMemory(process.pid))
        code = process.wait()
    if code not in _OK:
        raise RuntimeError(f"quintet read ended with {code}: {log.read_text(errors='replace')[-500:]}")
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    return ClientRun(report, log, server.peak_bytes, client.peak_bytes)


_COMMAND = (sys.executable, "-m", "quintet_client.cli", "read")


def _run_client(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_COMMAND, *arguments], capture_output=True, text=True, check=True, env=_environment())  # noqa: S603 - our own words


def _environment() -> dict[str, str]:
    """Ours, with our own paths first, and no token or server of somebody else."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("QUINTET_")}
    return {**own, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
