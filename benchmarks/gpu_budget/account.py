"""What a batch has asked of the device, by stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.gpu_budget.kernels import Kernel, Operator, kernels_of, plan_of

Shape = tuple[int, ...]


@dataclass
class Stage:
    """One stage of the chain.

    Attributes:
        shapes: what its network's first convolution saw, call by call; the batch's own if it has none.
        plans: of its network's convolutions, each once; cuDNN keeps one a shape.
        network: launches within the network.
        other: launches around it, copies among them.
        waits: by operator and line, how often the host waited for the device.
    """

    shapes: list[Shape] = field(default_factory=list)
    plans: set[tuple[Any, ...]] = field(default_factory=set)
    network: list[Kernel] = field(default_factory=list)
    other: list[Kernel] = field(default_factory=list)
    waits: Counter[str] = field(default_factory=Counter)
    to_host_bytes: int = 0
    to_device_bytes: int = 0
    pageable_bytes: int = 0  # of those to the device: such a copy holds the host up


class Account:
    """Counts by stage; what happens outside of any is entered under `-`."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}
        self._name = "-"
        self.in_network = False  # whether what happens is a network's own
        self._seen = True  # whether the call that is under way has come to a convolution

    @property
    def now(self) -> Stage:
        """The stage that is under way."""
        return self.stages.setdefault(self._name, Stage())

    def clear(self) -> None:
        """Begin anew; for the next batch."""
        self.stages = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Enter what happens within under a stage."""
        before, self._name = self._name, name
        try:
            yield
        finally:
            self._name = before

    @contextmanager
    def network(self, *, inside: bool = True) -> Iterator[None]:
        """What happens within is the network's own, or, within that, not."""
        before, self.in_network = self.in_network, inside
        try:
            yield
        finally:
            self.in_network = before

    def call(self, shape: Shape) -> None:
        """A network is called with a batch of a shape."""
        self.now.shapes.append(shape)
        self._seen = False

    def operator(self, operator: Operator) -> None:
        """An operator runs on the device."""
        stage = self.now
        (stage.network if self.in_network else stage.other).extend(kernels_of(operator))
        if (plan := plan_of(operator)) is not None:
            stage.plans.add(plan)
            if self.in_network and not self._seen:  # filled up, if calls are: what is planned for is what comes here
                stage.shapes[-1] = tuple(operator.args[0].shape)
                self._seen = True

    def wait(self, why: str) -> None:
        """The host waits for the device."""
        self.now.waits[why] += 1

    def to_host(self, count: int) -> None:
        """Bytes are copied to the host."""
        self.now.to_host_bytes += count
        self.now.other.append(Kernel("copy to the host", 2 * count, 0, count))

    def to_device(self, count: int, *, page_locked: bool) -> None:
        """Bytes are copied to the device."""
        self.now.to_device_bytes += count
        self.now.pageable_bytes += 0 if page_locked else count
        self.now.other.append(Kernel("copy to the device", count, 0, count))
