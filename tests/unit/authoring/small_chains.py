"""Chains without networks that keep every promise but one, each."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from PIL import Image
from quintet.engine.settings import EngineSettings, between
from quintet.engine.weights import SCHEMA, NetworkStore, Source, sha256_of
from quintet.errors import Code, Failure, PageError
from quintet.frame.chain import Chain, ChainEngine
from quintet.pixels.images import decode_image
from quintet.pixels.settings import ImageSettings
from torch import Tensor

SOURCE = Source("colours", "", "", "", "colours.onnx", "", ("N", 3, 8, 8))


@dataclass(frozen=True)
class SmallSettings(ImageSettings):
    brightest: int = between(255, 1, 255)


class SmallEngine(ChainEngine):
    """On the host; copies are counted as `Engine` counts them."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.host_copies = 0

    def to_host(self, tensor: Tensor) -> list[Any]:
        self.host_copies += 1
        return tensor.numpy().tolist()


class KeepsAll(Chain):
    """Says the mean colour of each image."""

    schema = "small.colours/1"
    settings = SmallSettings
    sources: Sequence[Source] = (SOURCE,)
    engine = SmallEngine()

    def __init__(self, settings: SmallSettings, model_store: Path) -> None:
        self._settings = settings
        self.fingerprint = self.of(settings)
        self.load(model_store)

    @classmethod
    def from_options(cls, options: Mapping[str, Any], model_store: Path, device_index: int | None = None) -> KeepsAll:
        return cls(cls.settings.from_options(options), model_store)

    def of(self, settings: EngineSettings) -> str:
        return settings.fingerprint()

    def load(self, model_store: Path) -> None:
        NetworkStore(model_store, self.sources).verify()

    def warm_up(self) -> None:
        pass

    def __call__(self, bodies: Sequence[bytes]) -> list[dict[str, Any] | Failure]:
        pixels = [self.decode(body) for body in bodies]
        good = [image for image in pixels if not isinstance(image, Failure)]
        results = iter(self.results(good) if good else [])
        return [image if isinstance(image, Failure) else next(results) for image in pixels]

    def decode(self, body: bytes) -> Tensor | Failure:
        """(3, 8, 8), or why not."""
        try:
            image = decode_image(body, self._settings).convert("RGB").resize((8, 8))
        except PageError as error:
            return error.failure
        return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(8, 8, 3).permute(2, 0, 1) / 255

    def results(self, images: list[Tensor]) -> list[dict[str, Any]]:
        means = self.engine.to_host(torch.stack(images).mean(dim=(2, 3)))
        return [{"colour": [round(value, 4) for value in mean]} for mean in means]


class LosesOrder(KeepsAll):
    def __call__(self, bodies):
        return sorted(super().__call__(bodies), key=str)


class DropsOne(KeepsAll):
    def __call__(self, bodies):
        return super().__call__(bodies)[:7]


class LeaksIntoNeighbours(KeepsAll):
    def results(self, images):
        shared = torch.stack(images).mean(dim=0)
        return super().results([(image + shared) / 2 for image in images])


class RaisesOnABadBody(KeepsAll):
    def decode(self, body):
        image = Image.open(io.BytesIO(body)).convert("RGB").resize((8, 8))
        return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(8, 8, 3).permute(2, 0, 1) / 255


class HasNoCodes(KeepsAll):
    def decode(self, body):
        found = super().decode(body)
        return Failure("", found.message) if isinstance(found, Failure) else found  # type: ignore[arg-type]


class CopiesEach(KeepsAll):
    def results(self, images):
        return [super(CopiesEach, self).results([image])[0] for image in images]


class WaitsForEach(KeepsAll):
    def results(self, images):
        for image in images:
            (image > 0.5).nonzero()
        return super().results(images)


class Grows(KeepsAll):
    kept: list[Tensor]

    def load(self, model_store):
        super().load(model_store)
        self.kept = []

    def __call__(self, bodies):
        if len(bodies) == 8:  # those whose memory is measured: a sixteenth of what the process has, 64 MB at least
            self.kept.append(torch.ones(max(16 << 20, psutil.Process().memory_info().rss // 64)))
        return super().__call__(bodies)


class ForgetsItsSettings(KeepsAll):
    def of(self, settings):
        return "always"


class TakesAnySetting(KeepsAll):
    @classmethod
    def from_options(cls, options, model_store, device_index=None):
        known = {key: value for key, value in options.items() if key == "brightest" and 1 <= value <= 255}
        return cls(SmallSettings(**known), model_store)


class TrustsItsWeights(KeepsAll):
    def load(self, model_store):
        (model_store / "networks" / "colours.bin").read_bytes()


class Unpickles(KeepsAll):
    def load(self, model_store):
        super().load(model_store)
        buffer = io.BytesIO()
        pickle = importlib.import_module("pickle")
        pickle.dump(Path("weights"), buffer)
        pickle.loads(buffer.getvalue())


class HasNoJson(KeepsAll):
    def results(self, images):
        return [{**result, "size": (8, 8)} for result in super().results(images)]


class FailsAlways(KeepsAll):
    def decode(self, body):
        return Failure(Code.INFERENCE_FAILED, "always")


def write_store(folder: Path) -> Path:
    """A store with one file, as `quintet models` would describe it."""
    (folder / "networks").mkdir()
    weights = folder / "networks" / "colours.bin"
    weights.write_bytes(bytes(range(256)))
    network = {
        "source": vars(SOURCE),
        "files": {"networks/colours.bin": sha256_of(weights)},
        "max_abs_error": 0.0,
        "trials": [],
        "outputs": [],
        "parameters": 256,
    }
    provenance = {"schema": SCHEMA, "converter": "", "networks": {"colours": network}}
    (folder / "provenance.json").write_text(json.dumps(provenance))
    return folder
