"""The real TorchServe, handler and configuration around `EchoChain`: for tests and measurements without networks."""

import sys
from contextlib import contextmanager
from pathlib import Path

import yaml
from quintet.operations import archive
from quintet.operations import service as torchserve

from tests.conftest import loopback_properties

# The chains are a module of one file, as a chain's package may be.
sys.path.append(str(Path(__file__).parent))


def pack_echo(folder: Path, torchserve_options=None, chain="echo_chain:EchoChain", **options) -> Path:
    """Write `quintet.mar` with an echo chain into a folder.

    Args:
        folder: becomes a model store.
        torchserve_options: keys such as batchSize, which override config.properties.
        chain: one of echo_chain.py.
        options: of the handler: `FrameSettings` and those of `EchoChain`.
    """
    config = folder / "model-config.yaml"
    config.write_text(yaml.safe_dump({**(torchserve_options or {}), "handler": {"chain": chain, **options}}))
    archive.pack(folder / "quintet.mar", chain, networks=folder, model_config=config)
    return folder


def without_torch(folder: Path) -> dict[str, str]:
    """An environment in which a worker finds a stand-in for torch: all that TorchServe needs around such a chain.

    Its import is most of a worker's start: a worker is ready after 1.7 s instead of 6.
    """
    package = folder / "stand-in" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("class Tensor: ...\n")
    return {"PYTHONPATH": str(package.parent)}


@contextmanager
def echo_service(folder: Path, torchserve_options=None, environment=None, token_file=None, **options):
    """Run it on free ports, with more in its environment or a token of its own; see `pack_echo`."""
    store = folder / "store"
    store.mkdir(parents=True)
    pack_echo(store, torchserve_options, **options)
    running = torchserve.start(
        folder / "run",
        properties=loopback_properties(),
        model_store=store,
        environment={**without_torch(folder), **(environment or {})},
        token_file=token_file,
    )
    try:
        yield running
    finally:
        torchserve.stop(running)
