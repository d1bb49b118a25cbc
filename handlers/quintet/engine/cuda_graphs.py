"""Records the launches of work on one batch's memory, and replays them: one launch a call in place of hundreds.

On a CPU the work itself stands in for the replay, so that all but the recording is tested there.
"""

import threading
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Outputs = tuple[Tensor, ...]
Work = Callable[[Tensor], Outputs]
Shape = tuple[int, ...]

# Calls before a recording, in which libraries choose their kernels and take their memory: neither can be recorded.
_CALLS_BEFORE = 2


class Recording(NamedTuple):
    """One shape: where its input goes, and what plays it."""

    batch: Tensor
    replay: Callable[[], Outputs]


class Recorder:
    """Records on one device, into one pool of memory.

    Replays of all recordings share memory for inputs and for what lies between input and outputs. That is safe because
    copying in, replaying and copying out are queued together, under one lock, on one stream. Recording empties
    PyTorch's caches, so it is done before the first page alone.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.lock = threading.Lock()
        self._device = device
        self._memory = torch.zeros(0, dtype=dtype, device=device)
        on_cuda = device.type == "cuda"
        self._pool = torch.cuda.graph_pool_handle() if on_cuda else None
        # One for all recordings: memory is kept a stream, and a pool is shared within a stream alone.
        self._aside = torch.cuda.Stream(device) if on_cuda else None

    def record(self, work: Work, shape: Shape) -> Recording:
        """Make a recording of one shape, (n, channels, H, W); its input is channels-last.

        The work launches the same kernels whatever the values are, and waits for nothing.
        """
        count, channels, height, width = shape
        size = count * channels * height * width
        if size > len(self._memory):  # older recordings keep the old memory; growing by half at least bounds the sum
            self._memory = self._memory.new_zeros(max(size, len(self._memory) * 3 // 2))
        batch = self._memory[:size].view(count, height, width, channels).permute(0, 3, 1, 2)
        replay = self._captured(work, batch) if self._device.type == "cuda" else _repeated(work, batch)
        return Recording(batch, replay)

    def _captured(self, work: Work, batch: Tensor) -> Callable[[], Outputs]:
        torch.cuda.synchronize(self._device)
        with torch.cuda.stream(self._aside):
            for _ in range(_CALLS_BEFORE):
                work(batch)
        graph = torch.cuda.CUDAGraph()
        # "thread_local": the decoders' threads may take page-locked memory meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._aside, capture_error_mode="thread_local"):
            outputs = work(batch)

        def replay() -> Outputs:
            graph.replay()
            return outputs

        return replay


def _repeated(work: Work, batch: Tensor) -> Callable[[], Outputs]:
    """The work where there are no graphs: like a graph it reads one memory and overwrites one set of outputs."""
    outputs = tuple(output.clone() for output in work(batch))

    def replay() -> Outputs:
        for output, value in zip(outputs, work(batch), strict=True):
            output.copy_(value)
        return outputs

    return replay
