"""What `quintet serve`, `quintet stop` and `quintet models` do on this machine."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quintet.frame.settings import DEVICE
from quintet.operations import service
from quintet.operations.contents import is_current
from quintet.operations.front_end import java, properties_for
from quintet.operations.locations import run_folder
from quintet.operations.names import model_name, store_of
from quintet.operations.tokens import read_given


@dataclass(frozen=True)
class ServeOptions:
    """How the service is to run, where that is not as its configuration says."""

    port: int | None = None
    workers: int | None = None
    device: str | None = None
    foreground: bool = False
    host: str | None = None
    token_file: Path | None = None


def serve(chains: Sequence[str], model_store: Path, options: ServeOptions) -> None:
    """Start the service, with all that it starts from, and say where it is; in the foreground be it.

    One that serves these chains already is left alone, unless something is asked of it.

    Raises:
        SettingsError: a name names no chain, there is no such address or number of workers, or no token in its file.
        WeightsError: the networks cannot be made.
        ServiceError: another service runs, or this one did not start.
    """
    running = service.find(run_folder())
    if running is None or options != ServeOptions() or set(running.models) != set(map(model_name, chains)):
        running = _start(chains, model_store, options)
    sys.stdout.write(
        f"{', '.join(running.models)} ready at {running.inference_url} (pid {running.pid}), "
        f"tokens in {_short(running.token_file)}\n"
    )


def _start(chains: Sequence[str], model_store: Path, options: ServeOptions) -> service.Service:
    service.refuse_a_second(run_folder())
    java()
    properties = properties_for(options.port, options.workers, options.host)
    if options.token_file is not None:
        read_given(options.token_file)
    environment: Mapping[str, str] = {DEVICE: options.device} if options.device else {}
    for chain in chains:
        if not is_current(model_store / f"{model_name(chain)}.mar", chain, store_of(model_store, chain)):
            sys.stderr.write(f"making in {model_store} what {chain} is served from: this takes a minute, once\n")
            sys.stderr.write(make(chain, model_store))
    if options.foreground:
        service.become(run_folder(), chains, properties, model_store, environment, options.token_file)
    return service.start(
        run_folder(), chains=chains, properties=properties, model_store=model_store, environment=environment,
        token_file=options.token_file,
    )  # fmt: skip


def _short(path: Path) -> Path:
    """A path as it is called here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def stop() -> None:
    """Stop the service, if one runs."""
    if (running := service.find(run_folder())) is not None:
        service.stop(running)
    sys.stdout.write("stopped\n" if running else "no service runs\n")


def make(chain: str, model_store: Path, wheels: Path | None = None, files: Path | None = None) -> str:
    """Make the networks and the archive of a chain; as `quintet.operations.models.make`."""
    from quintet.operations import models  # noqa: PLC0415 - it loads torch, which a start does without

    return models.make(chain, model_store, wheels=wheels, files=files)
