"""Which memory of the host is page-locked: what a fake CUDA was asked to lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

# Operators that lock memory, or say whether it is.
PINNING = frozenset({"pin_memory", "_pin_memory", "is_pinned"})


class PageLocked:
    """Memory that copies run from beside the host's work."""

    def __init__(self) -> None:
        self._lengths: dict[int, int] = {}  # by address
        self._kept: list[Tensor] = []  # so that no address comes to mean other memory

    def run(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - PyTorch's operators
        """An operator about page-locked memory."""
        if "is_pinned" in func.name():
            return self.holds(args[0])
        made: Tensor = args[0].clone() if kwargs.pop("pin_memory", None) is None else func(*args, **kwargs)
        self._kept.append(made)
        self.lock(made.data_ptr(), made.nbytes)
        return made

    def lock(self, address: int, length: int, *_flags: int) -> int:
        """What `cudaHostRegister` does; 0 for success."""
        self._lengths[address] = length
        return 0

    def unlock(self, address: int) -> int:
        """What `cudaHostUnregister` does; 0 for success."""
        del self._lengths[address]
        return 0

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor's memory is locked."""
        address = tensor.data_ptr()
        return any(begin <= address < begin + length for begin, length in self._lengths.items())
