"""Every setting of the chain in one frozen object, read once and validated at start."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quintet.errors import SettingsError


def _between(default: float, low: float, high: float) -> Any:
    """A number with the range it is allowed to take."""
    return field(default=default, metadata={"low": low, "high": high})


def _one_of(default: str, *choices: str) -> Any:
    """A word out of a closed list."""
    return field(default=default, metadata={"choices": choices})


# To be raised when code changes what is answered to the same page under the same settings: 2 reads columns.
ANSWERS = 2


@dataclass(frozen=True)
class Settings:
    """Settings of the chain; each name carries its unit; docs/settings.md explains them one by one.

    Numbers without another source were measured on real receipts and generated pages: see docs/performance.md.
    """

    # Where it runs; only engine.py reads these, and device_jpeg.py where JPEGs are decoded.
    device: str = _one_of("auto", "auto", "cpu", "cuda")
    engine: str = _one_of("auto", "auto", "torch", "openvino")
    dtype: str = _one_of("auto", "auto", "float32", "float16", "bfloat16")
    jpeg: str = _one_of("auto", "auto", "host", "device")
    graphs: str = _one_of("auto", "auto", "eager", "captured")
    threads: int = _between(0, 0, 1024)
    decode_threads: int = _between(0, 0, 256)

    # What a body may be.
    max_body_bytes: int = _between(64 << 20, 1, 1 << 31)
    max_page_pixels: int = _between(100_000_000, 64, 1 << 29)
    min_page_side_px: int = _between(10, 1, 1000)

    # What goes through the networks at once: more is cut into more calls, never refused.
    batch_pixels: int = _between(400_000_000, 1 << 20, (1 << 31) - 1)
    page_calls: int = _between(64, 1, 4096)
    detection_call_pixels: int = _between(20_000_000, 1 << 16, 1 << 31)
    line_call_columns: int = _between(40_960, 320, 1 << 24)

    # Layout regions.
    region_score: float = _between(0.5, 0.0, 1.0)
    region_iou: float = _between(0.5, 0.0, 1.0)

    # Text detection: the canvas, then DB's own parameters.
    detection_long_side_px: int = _between(1280, 64, 8192)
    detection_short_side_px: int = _between(736, 32, 4096)
    detection_canvas_step_px: int = _between(32, 32, 1024)
    text_threshold: float = _between(0.3, 0.0, 1.0)
    box_threshold: float = _between(0.5, 0.0, 1.0)
    unclip_ratio: float = _between(1.6, 0.0, 5.0)

    # Lines.
    turned_line_score: float = _between(0.5, 0.0, 1.0)
    min_bucket_px: int = _between(64, 48, 4096)
    max_line_px: int = _between(3200, 320, 32768)
    line_score: float = _between(0.5, 0.0, 1.0)

    def fingerprint(self) -> str:
        """Short hash of what changes answers: settings and code; where and how fast they are computed is not in it."""
        values = {key: value for key, value in dataclasses.asdict(self).items() if key not in _RUNTIME}
        revised = {**values, "answers": ANSWERS}
        return hashlib.sha256(json.dumps(revised, sort_keys=True).encode()).hexdigest()[:8]

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            _check(setting, getattr(self, setting.name))


_RUNTIME = frozenset({
    "device", "engine", "dtype", "jpeg", "graphs", "threads", "decode_threads", "max_body_bytes", "max_page_pixels",
    "min_page_side_px", "batch_pixels", "page_calls", "detection_call_pixels", "line_call_columns",
})  # fmt: skip


def read_settings(values: Mapping[str, Any]) -> Settings:
    """Settings from the parsed YAML of `model-config.yaml`.

    Raises:
        SettingsError: an unknown key, a value of another type, or one out of range.
    """
    known = [setting.name for setting in dataclasses.fields(Settings)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SettingsError(f"unknown setting {unknown[0]!r}; known are {', '.join(known)}: correct model-config.yaml")
    return Settings(**values)


def _check(setting: dataclasses.Field[Any], value: object) -> None:
    """Hold one value against its field's type and range."""
    wanted = typing.get_type_hints(Settings)[setting.name]
    accepted: type | types.UnionType = int | float if wanted is float else wanted
    allowed = setting.metadata.get("choices") or f"from {setting.metadata['low']} to {setting.metadata['high']}"
    right_type = isinstance(value, accepted) and not isinstance(value, bool)
    if right_type and "choices" in setting.metadata and value in allowed:
        return
    if right_type and "low" in setting.metadata and setting.metadata["low"] <= value <= setting.metadata["high"]:
        return
    raise SettingsError(
        f"setting {setting.name} is {value!r}; allowed is {wanted.__name__} {allowed}: correct model-config.yaml"
    )
