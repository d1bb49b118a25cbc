"""Starts, checks and stops the service as a process: what `make serve` and `make stop` run, and the tests too.

`/ping` says Healthy while workers load and while they crash, so ready means here: all workers of all models are READY
for the management API, and each model has answered a page. What runs is a supervisor, with TorchServe below it.
"""

import argparse
import hashlib
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from quintet.errors import SettingsError
from quintet.operations.front_end import ROOT, STOPS_WITHIN_S, FrontEnd, java
from quintet.operations.names import DEFAULT_CHAIN, MODEL_STORE, model_name
from quintet.operations.running import DRAINS_WITHIN_S, Service, ServiceError, drain, end_family, find, is_running
from quintet.operations.supervisor import Supervisor

__all__ = ["Service", "ServiceError", "drain", "find", "start", "stop", "verify_archive"]

RUN_DIR = ROOT / "build" / "serve"


def start(
    run_dir: Path = RUN_DIR,
    *,
    chains: Sequence[str] = (DEFAULT_CHAIN,),
    properties: Mapping[str, str] | None = None,
    model_store: Path = MODEL_STORE,
    environment: Mapping[str, str] | None = None,
) -> Service:
    """Start the service in the background and return when it reads; one at a time runs in a folder.

    `chains` are served side by side, each out of its archive in `model_store`. `properties` replace keys of
    config.properties, such as addresses; `environment` is added to the service's.

    Raises:
        SettingsError: a name names no chain, or two chains would be served under the same name.
        ServiceError: it is running already, an archive is not the one that was packed, or it did not get ready; then
            nothing is left running.
    """
    _refuse_a_second(run_dir)
    _verify_archives(chains, model_store)
    log = run_dir / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    replaced = [f"{key}={value}" for key, value in (properties or {}).items()]
    served = [word for chain in chains for word in ("--chain", chain)]
    command = [sys.executable, "-m", "quintet.operations.service", *served, "run", str(run_dir), str(model_store)]
    words = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    pid = os.posix_spawn(
        sys.executable, [*command, *replaced], {**os.environ, **(environment or {})},
        file_actions=[words, (os.POSIX_SPAWN_DUP2, 1, 2)], setsid=True,
    )  # fmt: skip
    try:
        while (service := find(run_dir)) is None or service.pid != pid:
            if not is_running(pid):
                raise ServiceError(log.read_text(errors="replace").strip())
            time.sleep(0.1)
    except BaseException:
        end_family(pid, DRAINS_WITHIN_S + STOPS_WITHIN_S)
        raise
    return service


def run(run_dir: Path, model_store: Path, chains: Sequence[str], properties: Mapping[str, str]) -> None:
    """Be the service, until a signal ends it.

    Raises:
        ServiceError: as `start`, or it cannot go on.
        OSError: an address is taken.
    """
    _refuse_a_second(run_dir)
    models = _verify_archives(chains, model_store)
    front_end = FrontEnd(run_dir, model_store, models, properties)
    urls = {f"{name}_url": url for name, url in front_end.urls.items()}
    Supervisor(front_end, Service(os.getpid(), run_dir, models=models, **urls)).run()


def _refuse_a_second(run_dir: Path) -> None:
    if (running := find(run_dir)) is not None:
        served = " and ".join(running.models)
        raise ServiceError(f"a service of {served} runs already with pid {running.pid}: stop it first (make stop)")


def _verify_archives(chains: Sequence[str], model_store: Path) -> tuple[str, ...]:
    """Make sure of the archive of each chain; gives their models."""
    models = tuple(map(model_name, chains))
    if len(set(models)) < len(models):
        raise SettingsError(f"{' and '.join(chains)} would be served as {' and '.join(models)}: names must differ")
    for model, chain in zip(models, chains, strict=True):
        verify_archive(model_store / f"{model}.mar", chain)
    return models


def verify_archive(archive: Path, chain: str = DEFAULT_CHAIN) -> None:
    """Make sure that an archive is the one that was packed.

    The hash beside it tells of torn copies; $QUINTET_ARCHIVE_SHA256, of one archive or of all that are served, also of
    somebody who can write both.

    Raises:
        ServiceError: it is missing, or its SHA-256 is not the one that is expected.
    """
    beside = archive.with_name(f"{archive.name}.sha256")
    remedy = "run make archive" if chain == DEFAULT_CHAIN else f"run make archive CHAIN={chain}"
    if not (archive.exists() and beside.exists()):
        raise ServiceError(f"{archive} or its .sha256 is missing: {remedy}")
    expected = os.environ.get("QUINTET_ARCHIVE_SHA256") or beside.read_text().partition(" ")[0]
    with archive.open("rb") as packed:
        found = hashlib.file_digest(packed, "sha256").hexdigest()
    if found not in expected.lower().split():
        raise ServiceError(f"{archive} has SHA-256 {found}, expected is {expected.strip()}: {remedy}")


def stop(service: Service) -> None:
    """End the service when the batches in work have been answered; what does not end in time is killed."""
    end_family(service.pid, DRAINS_WITHIN_S + STOPS_WITHIN_S)


def main() -> int:
    """`python -m quintet.operations.service [--chain NAME]... start|run|stop|java`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["start", "run", "stop", "java"], help="run: start, and stay until stopped")
    parser.add_argument("run_dir", nargs="?", type=Path, default=RUN_DIR)
    parser.add_argument("model_store", nargs="?", type=Path, default=MODEL_STORE)
    parser.add_argument("properties", nargs="*", metavar="key=value", help="instead of those of config.properties")
    parser.add_argument("--chain", action="append", help="its name, or module:Class; may be repeated")
    options = parser.parse_args()
    try:
        _do(options)
    except (ServiceError, SettingsError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _do(options: argparse.Namespace) -> None:
    chains = options.chain or [DEFAULT_CHAIN]
    match options.command:
        case "start":
            service = find(options.run_dir)
            if service is None or set(service.models) != set(map(model_name, chains)):
                service = start(options.run_dir, chains=chains, model_store=options.model_store)
            token_file = os.path.relpath(service.token_file)
            served = ", ".join(service.models)
            sys.stdout.write(f"{served} ready at {service.inference_url} (pid {service.pid}), tokens in {token_file}\n")
        case "run":
            logging.basicConfig(format="%(asctime)s %(message)s")
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            run(options.run_dir, options.model_store, chains, dict(one.split("=", 1) for one in options.properties))
        case "stop":
            if (running := find(options.run_dir)) is not None:
                stop(running)
            sys.stdout.write("stopped\n" if running else "no service runs\n")
        case "java":
            sys.stdout.write(f"{java()}\n")


if __name__ == "__main__":
    sys.exit(main())
