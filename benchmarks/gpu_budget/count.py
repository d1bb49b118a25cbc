"""The real chain over a fake device: its networks counted without values, which a CPU's engine gives them."""

from __future__ import annotations

import gc
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from benchmarks.bench.page_sets import draw_pages
from benchmarks.gpu_budget.account import Account, Stage
from benchmarks.gpu_budget.driver import fake_cuda
from benchmarks.gpu_budget.fake_cuda import DeviceTensor, MixedDevicesError
from benchmarks.networks import (
    STAGES,
    Engine,
    PageChain,
    Settings,
    Shrink,
    Shrinking,
    named_stages,
    wrapped_networks,
)

# Pixels of a batch that a CPU takes at once: 53 crops of lines, or one page.
_CALL_PIXELS = 2560 * 48

# From a network's name, a batch on the CPU and what is made of the outputs, to what is made of them, on the CPU.
Values = Callable[[str, Tensor, Shrink], tuple[Tensor, ...] | None]


class OnCpu:
    """What networks say, from the engine of a CPU.

    Those named in `unread` say zeros: recognition, whose words change no shape, is four fifths of the time.
    """

    def __init__(self, engine: Engine, unread: Sequence[str] = ()) -> None:
        self._engine = engine
        self._unread = unread

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Within, all networks say zeros."""
        before, self._unread = self._unread, STAGES
        try:
            yield
        finally:
            self._unread = before

    def __call__(self, name: str, batch: Tensor, shrink: Shrink) -> tuple[Tensor, ...] | None:
        """The outputs after `shrink`; None for zeros."""
        if name in self._unread or not len(batch):
            return None
        network = self._engine.network(name, shrink)
        parts = batch.to(self._engine.dtype).split(max(1, _CALL_PIXELS // batch[0, 0].numel()))
        with _disable_current_modes():
            return tuple(map(torch.cat, zip(*self._engine.each(network, parts), strict=True)))


@contextmanager
def counted_chain(settings: Settings, store: Path, values: Values, account: Account) -> Iterator[PageChain]:
    """A chain on a fake CUDA device, which lasts as long; what its batches ask of that is entered in the account."""

    def wrap(name: str, run: Shrinking) -> Shrinking:
        return lambda batch, shrink: _count_call(account, values, name, run, batch, shrink)

    with ExitStack() as stack:
        stack.enter_context(named_stages(account.stage))
        stack.enter_context(wrapped_networks(wrap))
        stack.enter_context(fake_cuda(account))
        chain = PageChain(settings, store)
        try:
            yield chain
        finally:
            # What is page-locked is unlocked while there is a device; nobody counts that.
            counted, account.stages = account.stages, {}
            vars(chain).clear()
            gc.collect()
            account.stages = counted


def count_batches(
    settings: Settings, store: Path, batches: Sequence[Sequence[bytes]], *, warm_up: bool = True
) -> list[dict[str, Stage]]:
    """What the warm-up asks of the device, and then each batch."""
    # In single precision, so that machines with and without bfloat16 count the same lines.
    on_cpu = PageChain(Settings(device="cpu", dtype="float32"), store)
    account, counted = Account(), []
    values = OnCpu(on_cpu.engine, unread=("recognition",))
    with counted_chain(settings, store, values, account) as chain:
        works: list[Callable[[], object]] = [partial(chain, batch) for batch in batches]
        if warm_up:
            works.insert(0, partial(_warm_up, chain, values))
        for work in works:
            account.clear()
            work()
            counted.append(account.stages)
    return counted


def _warm_up(chain: PageChain, values: OnCpu) -> None:
    """What the chain's own does, with all the time that it takes; nobody reads what networks say of blank batches."""
    chain(chain.samples())
    with values.silent():
        chain.engine.prepare(math.inf)


def dense_pages(count: int) -> list[bytes]:
    """Generated pages of about 169 words; more of them begin with the same."""
    with tempfile.TemporaryDirectory() as folder:
        return [page.read_bytes() for page in draw_pages(count, Path(folder), "--dense").pages]


def _count_call(
    account: Account, values: Values, name: str, run: Shrinking, batch: Tensor, shrink: Shrink
) -> tuple[Tensor, ...]:
    """One call of a network: counted on tensors without data, its outcome filled with values."""

    def outside(*outputs: Tensor) -> tuple[Tensor, ...]:
        with account.network(inside=False):
            return shrink(*outputs)

    if not isinstance(batch, DeviceTensor):
        raise MixedDevicesError(f"{name} was given a batch of the host, {tuple(batch.shape)}")
    with account.stage(name), account.network():  # by name, since the warm-up calls networks outside of stages
        account.call(tuple(batch.shape))
        made = run(batch.hollow(), outside)
    with _disable_current_modes():
        found = values(name, batch.held, shrink) or [None] * len(made)
        return tuple(_filled(name, empty, value) for empty, value in zip(made, found, strict=True))


def _filled(name: str, empty: Any, value: Tensor | None) -> DeviceTensor:  # noqa: ANN401 - a device tensor
    """A tensor like the one without data, with these values; rows that only fill a call up are zero."""
    filled = torch.zeros_like(empty.held, device="cpu")
    if value is not None:
        if value.shape[1:] != filled.shape[1:] or len(value) > len(filled):
            raise RuntimeError(f"{name} makes {tuple(empty.shape)} in PyTorch and {tuple(value.shape)} on the CPU")
        filled[: len(value)] = value
    return DeviceTensor(filled)
