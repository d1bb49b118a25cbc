"""The chain in process, one thing changed at a time: number format, place of decoding, captured launches, plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.bench_gpu.options import Options
from benchmarks.networks import PageChain

# Named one by one, so that a row says the same whatever `auto` comes to mean.
_BASE = {"engine": "torch", "jpeg": "host", "graphs": "eager"}


@dataclass(frozen=True)
class Variant:
    """One row: what differs from the first, in settings or in the environment of its process."""

    key: str
    title: str
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What it is."""
        return {"key": self.key, "title": self.title, "settings": {**_BASE, **self.settings}}


BASE = Variant("base", "JPEG on the host, eager launches")
REFERENCE = Variant("float32", "single precision", {"dtype": "float32"})
VARIANTS = (
    BASE,
    REFERENCE,
    Variant("jpeg", "JPEG on the device", {"jpeg": "device"}),
    Variant("graphs", "captured launches", {"graphs": "captured"}),
    Variant("both", "both", {"jpeg": "device", "graphs": "captured"}),
    Variant("bfloat16", "bfloat16", {"dtype": "bfloat16"}),
    Variant("plans", "no limit to cuDNN's plans", environment={"TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT": "0"}),
)


def open_chain(options: Options, variant: Variant) -> PageChain:
    """A chain with a variant's settings, not warmed up.

    Raises:
        SettingsError: this machine does not have what the variant asks for.
    """
    return PageChain.from_options({"device": options.device, **_BASE, **variant.settings}, options.models)
