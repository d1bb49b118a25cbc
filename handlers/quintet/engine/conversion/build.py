"""The store of networks made from their wheels: read, patched, converted, checked, written, recorded."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import onnx

from quintet.engine import graph as graph_module
from quintet.engine.conversion.fusion import fuse
from quintet.engine.conversion.onnx_batch import with_shape
from quintet.engine.conversion.onnx_import import import_onnx
from quintet.engine.conversion.verification import compare
from quintet.engine.conversion.wheels import download_wheels, read_model
from quintet.engine.graph import WeightsError, build_module, load_graph, save_graph
from quintet.engine.weights import (
    ALPHABET,
    NETWORKS,
    SCHEMA,
    SOURCES,
    Network,
    Provenance,
    Source,
    network_path,
    sha256_of,
    verify_store,
)


def converter_digest() -> str:
    """Return the SHA-256 of the code that makes networks: a store made by other code is made again."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(graph_module.__file__)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def is_current(model_store: Path) -> bool:
    """Whether the store is whole and was made from the pinned files by this very code."""
    try:
        return verify_store(model_store).converter == converter_digest()
    except WeightsError:
        return False


def build_store(model_store: Path, wheels: Path | None = None) -> Provenance:
    """Make the store. Files move into place only when all five networks passed; provenance.json comes last.

    Args:
        model_store: the folder to write; made if absent.
        wheels: a folder with the wheels; without it they are downloaded.

    Returns:
        What was made.

    Raises:
        WeightsError: a wheel cannot be had or is not the one pinned, or a network does not match its original.
    """
    model_store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=model_store, prefix=".building-") as folder:
        staging = Path(folder)
        (staging / NETWORKS).mkdir()
        if wheels is None:
            download_wheels(SOURCES, staging)
        networks = {source.stage: _build_network(source, wheels or staging, staging) for source in SOURCES}
        provenance = Provenance(converter_digest(), networks)
        (staging / "provenance.json").write_text(_as_json(provenance), encoding="utf-8")
        (model_store / NETWORKS).mkdir(exist_ok=True)
        for network in networks.values():
            for name in network.files:
                (staging / name).replace(model_store / name)
        (staging / "provenance.json").replace(model_store / "provenance.json")
    return provenance


def _build_network(source: Source, wheels: Path, staging: Path) -> Network:
    original = read_model(source, wheels)
    model = onnx.load_model_from_string(original)
    patched = with_shape(model, source.shape)
    paths = {suffix: network_path(staging, source.stage, suffix) for suffix in (".json", ".safetensors", ".onnx")}
    paths[".onnx"].write_bytes(patched.SerializeToString(deterministic=True))
    save_graph(fuse(import_onnx(patched)), paths[".json"], paths[".safetensors"])
    # What is compared is what will be loaded: the network read back from its files.
    module = build_module(load_graph(paths[".json"], paths[".safetensors"]))
    comparison = compare(source.stage, original, paths[".onnx"].read_bytes(), module, source.shape)
    written = list(paths.values())
    if source.stage == "recognition":
        written.append(_write_alphabet(model, staging, classes=comparison.outputs[0][-1]))
    return Network(
        source=source,
        files={path.relative_to(staging).as_posix(): sha256_of(path) for path in written},
        max_abs_error=comparison.max_abs_error,
        trials=comparison.trials,
        outputs=comparison.outputs,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
    )


def _write_alphabet(model: onnx.ModelProto, staging: Path, *, classes: int) -> Path:
    metadata: Mapping[str, str] = {entry.key: entry.value for entry in model.metadata_props}
    # As RapidOCR 3.10's CTCLabelDecode reads it: the blank before the file's characters, the space behind them.
    alphabet = ["", *metadata["character"].splitlines(), " "]
    if len(alphabet) != classes:
        raise WeightsError(f"the recogniser has {classes} classes and an alphabet of {len(alphabet)}")
    path = staging / ALPHABET
    path.write_text(json.dumps(alphabet, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _as_json(provenance: Provenance) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(provenance)}, indent=1) + "\n"


def as_table(model_store: Path, provenance: Provenance) -> str:
    """Return one line a network: where it came from, what was tried, how far it is off, how large it is.

    Args:
        model_store: the store, for sizes.
        provenance: what it holds.
    """
    rows = [("stage", "wheel", "version", "inputs tried", "max abs error", "parameters", "MB")]
    for stage, network in provenance.networks.items():
        trials = " ".join("x".join(map(str, trial)) for trial in network.trials)
        size_mb = network_path(model_store, stage, ".safetensors").stat().st_size / 1e6
        numbers = (f"{network.max_abs_error:.1e}", f"{network.parameters:,}", f"{size_mb:.1f}")
        rows.append((stage, network.source.wheel, network.source.version, trials, *numbers))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
