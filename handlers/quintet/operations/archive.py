"""Packs the handler, the chain and the converted networks into `model_store/quintet.mar`.

The archive is complete: it starts on a machine that has the packages and nothing else of this project.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from quintet.engine.weights import NetworkStore
from quintet.operations.names import DEFAULT_CHAIN, sources_of

HANDLERS = Path(__file__).resolve().parents[2]
MODEL_STORE = HANDLERS.parent / "model_store"
ARCHIVE = MODEL_STORE / "quintet.mar"


def pack(
    archive: Path = ARCHIVE, model_config: Path = HANDLERS / "model-config.yaml", model_store: Path = MODEL_STORE
) -> Path:
    """Write the archive of the networks in a store.

    Raises:
        WeightsError: the networks are missing or not what their provenance says.
        CalledProcessError: the archiver refused; its words are on stderr.
    """
    NetworkStore(model_store, sources_of(DEFAULT_CHAIN)).verify()
    with tempfile.TemporaryDirectory(prefix="quintet-archive-") as scratch:
        staged = _stage(Path(scratch) / "extra", model_store)
        # The archiver deletes $TMPDIR/<model name> without asking, so it gets a TMPDIR of its own.
        private = Path(scratch) / "tmp"
        private.mkdir()
        command = [
            *(sys.executable, "-c", "from model_archiver.model_packaging import generate_model_archive as f; f()"),
            *("--model-name", "quintet", "--version", "1.0", "--force"),
            *("--handler", str(HANDLERS / "chain_handler.py"), "--extra-files", str(staged)),
            *("--config-file", str(model_config), "--export-path", scratch),
        ]
        subprocess.run(command, check=True, env={"TMPDIR": str(private), "PATH": ""})  # noqa: S603 - our own words
        # In place whole: a server that starts meanwhile sees the old one or the new one.
        beside = archive.with_suffix(".part")
        shutil.copyfile(Path(scratch) / "quintet.mar", beside)
        beside.replace(archive)
    record_hash(archive)
    return archive


def record_hash(archive: Path) -> Path:
    """Write the archive's SHA-256 into NAME.sha256 beside it, as `sha256sum` does: the service starts nothing else."""
    with archive.open("rb") as packed:
        digest = hashlib.file_digest(packed, "sha256").hexdigest()
    beside = archive.with_name(f"{archive.name}.sha256")
    beside.write_text(f"{digest}  {archive.name}\n")
    return beside


def _stage(folder: Path, model_store: Path) -> Path:
    """Lay out what stands beside the handler: the archiver takes the content of this folder, not the folder."""
    ignored = shutil.ignore_patterns("__pycache__", "conversion", "operations")
    shutil.copytree(HANDLERS / "quintet", folder / "quintet", ignore=ignored)
    shutil.copytree(model_store / "networks", folder / "networks")
    shutil.copy2(model_store / "provenance.json", folder)
    return folder


if __name__ == "__main__":
    path = pack()
    sys.stdout.write(f"{path.relative_to(MODEL_STORE.parent)}: {path.stat().st_size / 1e6:.1f} MB\n")
