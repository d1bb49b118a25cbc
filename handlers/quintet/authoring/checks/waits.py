"""Counts the operators that make the host wait for a device."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Those whose result's size or value the host needs. `bincount` and `unique` by rows are what calls are planned with, on
# the host: they are left out.
WAITING = frozenset({
    "_local_scalar_dense", "_unique2", "equal", "is_nonzero", "masked_select", "nms", "nonzero", "nonzero_numpy",
    "unique_consecutive",
})  # fmt: skip


class CountWaits(TorchDispatchMode):
    """Counts them, by name, in the thread that enters it; on a CPU too, where nothing really waits.

    Attributes:
        waits: how often each operator was called that waits.
        operators: how many operators were called.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch does not type it
        self.waits: Counter[str] = Counter()
        self.operators = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operator, which PyTorch does not type
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operator returns
        """Count the operator and run it."""
        name = func.name().split("::")[1].split(".")[0]
        self.operators += 1
        # An index by a mask finds out how many are true.
        if name in WAITING or (name in {"index", "index_put", "index_put_"} and has_mask(args[1])):
            self.waits[name] += 1
        return func(*args, **(kwargs or {}))


def has_mask(indices: Sequence[torch.Tensor | None]) -> bool:
    """Whether one of an index's tensors is a mask, whose true elements have to be counted first."""
    return any(index is not None and index.dtype == torch.bool for index in indices)


class InTurn:
    """Runs the calls of a stage in turn, in the thread that asks, and remembers the waits of the largest.

    It stands in for `Engine.each`.
    """

    def __init__(self, mode: CountWaits) -> None:
        self._mode = mode
        self.most: list[int] = []  # waits of a call, for each stage that was asked for
        self.within = 0  # waits of all calls

    def __call__(self, work: Callable[[Any], Any], calls: Sequence[Any]) -> list[Any]:
        """The results of the calls, in order."""
        done, spent = [], [0]
        for call in calls:
            before = self._mode.waits.total()
            done.append(work(call))
            spent.append(self._mode.waits.total() - before)
        self.most.append(max(spent))
        self.within += sum(spent)
        return done
