"""The frame's own settings, which stand beside `chain` in model-config.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from quintet.errors import SettingsError

SWITCH = "QUINTET_SHARED_MEMORY"
DEVICE = "QUINTET_DEVICE"


@dataclass(frozen=True)
class FrameSettings:
    """How much the service takes on at once, and whether it takes pages in shared memory."""

    pages_per_batch: int = 64  # most pages the chain is called with
    # Most pages of all requests that the server hands over together. All of them are answered when the last has been
    # read, so that their time together must stay below the server's responseTimeout.
    pages_at_once: int = 512
    # The same in time, by what a page has taken lately. On two slow cores a second, which makes this the smaller one.
    seconds_at_once: int = 60
    max_request_bytes: int = 64 << 20  # what clients are told; config.properties' max_request_size is what counts
    shared_memory: bool = False  # whether it takes shared buffers
    shared_memory_bytes: int = 4 << 30  # most bytes of one buffer; on CUDA all of them are page-locked
    shared_memory_rings: int = 4  # most buffers that a worker holds at a time

    @classmethod
    def taken_from(cls, options: dict[str, Any], environment: Mapping[str, str]) -> Self:
        """Take these keys out of the handler's options, and leave the chain's.

        `QUINTET_SHARED_MEMORY` of the environment, if it is not empty, counts instead of `shared_memory`, and
        `QUINTET_DEVICE` instead of the chain's `device`.

        Raises:
            SettingsError: a value is out of range.
        """
        values = {setting.name: options.pop(setting.name) for setting in fields(cls) if setting.name in options}
        if switch := environment.get(SWITCH):
            values["shared_memory"] = {"on": True, "off": False}.get(switch, switch)
        if device := environment.get(DEVICE):
            options["device"] = device
        return cls(**values)

    def __post_init__(self) -> None:
        if not isinstance(self.shared_memory, bool):
            raise SettingsError(
                f"shared_memory is {self.shared_memory!r}; allowed are true and false in model-config.yaml, on and off "
                f"in {SWITCH}"
            )
        for key, value in (item for item in vars(self).items() if item[0] != "shared_memory"):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SettingsError(f"{key} is {value!r}; allowed are whole numbers from 1: correct model-config.yaml")
