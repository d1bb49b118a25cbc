"""The real TorchServe, handler and configuration around `EchoChain`: for tests and measurements without networks."""

import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import yaml
from quintet.operations import archive
from quintet.operations import service as torchserve

from tests.conftest import ROOT, loopback_properties

HANDLERS = ROOT / "handlers"


def pack_echo(folder: Path, torchserve_options=None, **options) -> Path:
    """Write `quintet.mar` with the echo chain into a folder.

    Args:
        folder: becomes a model store.
        torchserve_options: keys such as batchSize, which override config.properties.
        options: of the handler: `FrameSettings` and those of `EchoChain`.
    """
    extra = folder / "extra"
    shutil.copytree(HANDLERS / "quintet", extra / "quintet", ignore=shutil.ignore_patterns("__pycache__", "conversion"))
    shutil.copy2(Path(__file__).parent / "echo_chain.py", extra)
    config = folder / "model-config.yaml"
    handler = {"chain": "echo_chain:EchoChain", **options}
    config.write_text(yaml.safe_dump({**(torchserve_options or {}), "handler": handler}))
    (folder / "tmp").mkdir()
    subprocess.run(
        [
            *(sys.executable, "-c", "from model_archiver.model_packaging import generate_model_archive as f; f()"),
            *("--model-name", "quintet", "--version", "1.0", "--handler", str(HANDLERS / "chain_handler.py")),
            *("--extra-files", str(extra), "--config-file", str(config), "--export-path", str(folder)),
        ],
        check=True,
        env={"TMPDIR": str(folder / "tmp"), "PATH": ""},
    )
    archive.record_hash(folder / "quintet.mar")
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
def echo_service(folder: Path, torchserve_options=None, **options):
    """Run it on free ports; see `pack_echo`."""
    store = folder / "store"
    store.mkdir(parents=True)
    pack_echo(store, torchserve_options, **options)
    running = torchserve.start(
        folder / "run",
        properties=loopback_properties(),
        model_store=store,
        environment=without_torch(folder),
    )
    try:
        yield running
    finally:
        torchserve.stop(running)
