"""Starts, checks and stops the service as a process: for `quintet serve` and `quintet stop`, and for tests.

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
from typing import NoReturn

from quintet.errors import ServiceError, SettingsError
from quintet.operations.front_end import STOPS_WITHIN_S, FrontEnd
from quintet.operations.locations import model_store as default_model_store
from quintet.operations.names import DEFAULT_CHAIN, model_name
from quintet.operations.running import DRAINS_WITHIN_S, Service, drain, end_family, find, is_running
from quintet.operations.supervisor import Supervisor
from quintet.operations.tokens import read_given

__all__ = ["Service", "ServiceError", "become", "drain", "find", "refuse_a_second", "start", "stop", "verify_archive"]


def start(
    run_dir: Path,
    *,
    chains: Sequence[str] = (DEFAULT_CHAIN,),
    properties: Mapping[str, str] | None = None,
    model_store: Path | None = None,
    environment: Mapping[str, str] | None = None,
    token_file: Path | None = None,
) -> Service:
    """Start the service in the background and return when it reads; one at a time runs in a folder.

    `chains` are served side by side, each out of its archive in `model_store`, the usual one if none is given.
    `properties` replace keys of config.properties, such as addresses; `environment` is added to the service's.
    The token in `token_file` opens the gate beside TorchServe's own.

    Raises:
        SettingsError: a name names no chain, or two chains would be served under the same name.
        ServiceError: it is running already, an archive is not the one that was packed, or it did not get ready; then
            nothing is left running.
    """
    model_store = model_store or default_model_store()
    refuse_a_second(run_dir)
    _verify_archives(chains, model_store)
    log = run_dir / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = _command(run_dir, chains, properties or {}, model_store, token_file)
    words = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    pid = os.posix_spawn(
        sys.executable, command, {**os.environ, **(environment or {})},
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


def become(
    run_dir: Path,
    chains: Sequence[str],
    properties: Mapping[str, str],
    model_store: Path,
    environment: Mapping[str, str],
    token_file: Path | None = None,
) -> NoReturn:
    """Be the service in place of this program, for a terminal or for systemd; arguments as of `start`."""
    os.execve(  # noqa: S606 - our own words
        sys.executable, _command(run_dir, chains, properties, model_store, token_file), {**os.environ, **environment}
    )


def _command(
    run_dir: Path, chains: Sequence[str], properties: Mapping[str, str], model_store: Path, token_file: Path | None
) -> list[str]:
    served = [word for chain in chains for word in ("--chain", chain)]
    served += ["--token-file", str(token_file.absolute())] if token_file else []
    replaced = [f"{key}={value}" for key, value in properties.items()]
    return [
        *(sys.executable, "-m", "quintet.operations.service", *served),
        *(str(run_dir.resolve()), str(model_store.resolve()), *replaced),
    ]


def run(
    run_dir: Path,
    model_store: Path,
    chains: Sequence[str],
    properties: Mapping[str, str],
    token_file: Path | None = None,
) -> None:
    """Be the service, until a signal ends it.

    Raises:
        ServiceError: as `start`, or it cannot go on.
        SettingsError: the token file holds no token.
        OSError: an address is taken.
    """
    refuse_a_second(run_dir)
    models = _verify_archives(chains, model_store)
    if token_file is not None:
        read_given(token_file)
    front_end = FrontEnd(run_dir, model_store, models, properties, token_file)
    urls = {f"{name}_url": url for name, url in front_end.urls.items()}
    Supervisor(front_end, Service(os.getpid(), run_dir, models=models, **urls)).run()


def refuse_a_second(run_dir: Path) -> None:
    """Raise ServiceError if a service runs in the folder."""
    # The pid of this process is that of its predecessor in a container that was started again.
    if (running := find(run_dir)) is not None and running.pid != os.getpid():
        served = " and ".join(running.models)
        raise ServiceError(f"a service of {served} runs already with pid {running.pid}: stop it first (quintet stop)")


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
    remedy = "run `quintet models" + ("`" if chain == DEFAULT_CHAIN else f" --chain {chain}`")
    if not (archive.exists() and beside.exists()):
        raise ServiceError(f"{archive} or its .sha256 is missing: {remedy}")
    expected = os.environ.get("QUINTET_ARCHIVE_SHA256") or beside.read_text().partition(" ")[0]
    with archive.open("rb") as packed:
        found = hashlib.file_digest(packed, "sha256").hexdigest()
    if found not in expected.lower().split():
        raise ServiceError(f"{archive} has SHA-256 {found}, expected is {expected.strip()}: remove it, then {remedy}")


def stop(service: Service) -> None:
    """End the service when the batches in work have been answered; what does not end in time is killed."""
    end_family(service.pid, DRAINS_WITHIN_S + STOPS_WITHIN_S)


def main() -> int:
    """Be the service: `python -m quintet.operations.service RUN_DIR MODEL_STORE --chain NAME... [KEY=VALUE]...`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("model_store", type=Path)
    parser.add_argument("properties", nargs="*", metavar="key=value", help="instead of those of config.properties")
    parser.add_argument("--chain", action="append", required=True, help="its name, or module:Class; may be repeated")
    parser.add_argument("--token-file", type=Path, help="a token that lets pages in beside TorchServe's own")
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        properties = dict(one.split("=", 1) for one in options.properties)
        run(options.run_dir, options.model_store, options.chain, properties, options.token_file)
    except (ServiceError, SettingsError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
