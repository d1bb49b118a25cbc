"""Settings of an engine, and how the settings of any chain are declared, read and checked."""

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from quintet.errors import SettingsError


def between(default: float, low: float, high: float, *, runtime: bool = False) -> Any:
    """A number with the range it may take; one of `runtime` changes no answer, and no fingerprint."""
    return field(default=default, metadata={"low": low, "high": high, "runtime": runtime})


def one_of(*choices: str, runtime: bool = False) -> Any:
    """A word out of a closed list, the first of which is the default."""
    return field(default=choices[0], metadata={"choices": choices, "runtime": runtime})


def switch() -> Any:
    """On, which YAML has `on` and `true` for, or off: `off`, `false`."""
    return field(default=True, metadata={"choices": (True, False), "runtime": False})


def some_of(*choices: str) -> Any:
    """One word or more out of a closed list, kept in its order; the first of it is the default."""
    return field(default=choices[:1], metadata={"choices": choices, "several": True, "runtime": False})


@dataclass(frozen=True)
class EngineSettings:
    """Where networks run; a chain's settings extend these. docs/settings.md explains them one by one."""

    ANSWERS: ClassVar[int] = 1  # to be raised when a chain's code changes what it answers under the same settings

    device: str = one_of("auto", "cpu", "cuda", runtime=True)
    engine: str = one_of("auto", "torch", "openvino", runtime=True)
    dtype: str = one_of("auto", "float32", "float16", "bfloat16", runtime=True)
    graphs: str = one_of("auto", "eager", "captured", runtime=True)
    threads: int = between(0, 0, 1024, runtime=True)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Settings from the parsed YAML of `model-config.yaml`.

        Raises:
            SettingsError: an unknown key, a value of another type, or one out of range.
        """
        known = [setting.name for setting in dataclasses.fields(cls)]
        if unknown := sorted(set(options) - set(known)):
            raise SettingsError(
                f"unknown setting {unknown[0]!r}; known are {', '.join(known)}: correct model-config.yaml"
            )
        return cls(**options)

    def fingerprint(self) -> str:
        """Short hash of what changes answers: settings and code; where and how fast they are computed is not in it."""
        answering = [setting.name for setting in dataclasses.fields(self) if not setting.metadata["runtime"]]
        values = {name: getattr(self, name) for name in answering} | {"answers": self.ANSWERS}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]

    def __post_init__(self) -> None:
        types = typing.get_type_hints(type(self))  # a field's own may be a string
        for setting in dataclasses.fields(self):
            if setting.metadata.get("several"):
                object.__setattr__(self, setting.name, _ordered(setting, getattr(self, setting.name)))
            else:
                _check(setting, types[setting.name], getattr(self, setting.name))


def _ordered(setting: dataclasses.Field[Any], value: object) -> tuple[str, ...]:
    """Words in the order of the list that they are out of, so that equal choices have equal fingerprints."""
    choices = setting.metadata["choices"]
    if isinstance(value, list | tuple) and value and all(word in choices for word in value):
        return tuple(word for word in choices if word in value)
    raise SettingsError(
        f"setting {setting.name} is {value!r}; allowed is a list of {', '.join(choices)}: correct model-config.yaml"
    )


def _check(setting: dataclasses.Field[Any], wanted: type, value: object) -> None:
    limits = setting.metadata
    accepted = int | float if wanted is float else wanted
    allowed = limits.get("choices") or f"from {limits['low']} to {limits['high']}"
    right_type = isinstance(value, accepted) and isinstance(value, bool) == (wanted is bool)
    if right_type and (value in allowed if "choices" in limits else limits["low"] <= value <= limits["high"]):
        return
    raise SettingsError(
        f"setting {setting.name} is {value!r}; allowed is {wanted.__name__} {allowed}: correct model-config.yaml"
    )
