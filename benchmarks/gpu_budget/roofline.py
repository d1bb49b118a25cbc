"""What counted kernels take on a GPU, and the pages a second which that predicts. All assumptions stand in `Gpu`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.gpu_budget.kernels import Kernel


@dataclass(frozen=True)
class Gpu:
    """An H100 SXM, by what of its data sheet real kernels reach.

    Attributes:
        memory_bytes_s: of 3.35 TB/s.
        cache_bytes_s: between kernels whose largest tensor stays in the second-level cache.
        cached_bytes: such a tensor has at most so many.
        depthwise_share: of either that a depthwise convolution reaches.
        flops_s: of 989 TFLOP/s in half precision.
        kernel_s: the least a kernel takes.
        launch_s: what the host takes for one, PyTorch's dispatcher included.
        wait_s: what the device stands still after the host has waited for it.
        pageable_bytes_s: of a copy to the device from memory that is not page-locked, which holds the host up.
        plan_s: what cuDNN takes to find a plan for a shape: least and most.
    """

    memory_bytes_s: float = 2.6e12
    cache_bytes_s: float = 4.0e12
    cached_bytes: int = 16_000_000
    depthwise_share: float = 0.5
    flops_s: float = 300e12
    kernel_s: float = 2.5e-6
    launch_s: float = 6e-6
    wait_s: float = 20e-6
    pageable_bytes_s: float = 10e9
    plan_s: tuple[float, float] = (0.3e-3, 1.3e-3)

    def seconds(self, kernel: Kernel) -> float:
        """What one kernel takes."""
        rate = self.cache_bytes_s if kernel.largest < self.cached_bytes else self.memory_bytes_s
        rate *= self.depthwise_share if kernel.kind == "convolution, depthwise" else 1.0
        return max(kernel.bytes / rate, kernel.flops / self.flops_s, self.kernel_s)

    def describe(self) -> str:
        """The assumptions in words."""
        low, high = (1e3 * one for one in self.plan_s)
        return (
            f"assumed of the GPU: {self.memory_bytes_s / 1e12:.1f} TB/s, {self.cache_bytes_s / 1e12:.1f} where no"
            f" tensor has {self.cached_bytes / 1e6:.0f} MB, {self.depthwise_share:.0%} of it in depthwise convolutions;"
            f" {self.flops_s / 1e12:.0f} TFLOP/s; {1e6 * self.kernel_s:.1f} us a kernel at least;"
            f" of the host: {1e6 * self.launch_s:.0f} us a launch, {1e6 * self.wait_s:.0f} us a wait,"
            f" {self.pageable_bytes_s / 1e9:.0f} GB/s from memory that is not page-locked,"
            f" {low:.1f} to {high:.1f} ms for each new plan of cuDNN"
        )


class Prediction(NamedTuple):
    """Of one batch in one worker; decoding and JSON, which run beside it or in another worker, are left out.

    Attributes:
        gpu_ms: a page, all kernels one after another.
        host_ms: a page, to launch them, to wait, and to copy from memory that is not page-locked.
        plans_ms: a page, to find plans for shapes that an earlier batch has not met: least and most.
        pages_per_s: if host and GPU take turns and plans take longest; and if they overlap and plans are quick.
    """

    gpu_ms: float
    host_ms: float
    plans_ms: tuple[float, float]
    pages_per_s: tuple[float, float]


def predict(
    gpu: Gpu, kernels: Sequence[Kernel], waits: int, pageable_bytes: int, new_plans: int, pages: int
) -> Prediction:
    """What a batch takes whose kernels, waits, copies and plans that are new to it have been counted."""
    gpu_ms = 1e3 * sum(map(gpu.seconds, kernels)) / pages
    host_s = len(kernels) * gpu.launch_s + waits * gpu.wait_s + pageable_bytes / gpu.pageable_bytes_s
    host_ms = 1e3 * host_s / pages
    quick, slow = (1e3 * new_plans * one / pages for one in gpu.plan_s)
    in_turn, beside = gpu_ms + host_ms + slow, max(gpu_ms, host_ms + quick)
    return Prediction(gpu_ms, host_ms, (quick, slow), (1e3 / in_turn, 1e3 / beside))
