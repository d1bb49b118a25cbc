"""Networks whose calls replay recorded CUDA graphs: one launch a call in place of hundreds.

A recording has fixed shapes and fixed memory. So a call is filled up to one of few sizes, copied into the recording's
memory, replayed, and copied out. On a CPU the same code runs, with the network itself in place of the replay, so that
all but the recording is tested there.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

Outputs = tuple[Tensor, ...]
Work = Callable[[Tensor], Outputs]
ItemShape = tuple[int, int, int]  # channels, height, width
Shape = tuple[int, int, int, int]

# Recordings of one network. Recognition has 46 widths with 7 to 11 sizes of each, 362 in all; the others 9 at most.
MOST_RECORDINGS = 512
# Calls before a recording, in which libraries choose their kernels and take their memory: neither can be recorded.
_CALLS_BEFORE = 2


class Recording(NamedTuple):
    """One shape: where its input goes, and what plays it."""

    batch: Tensor
    replay: Callable[[], Outputs]


class Recorder:
    """Records on one device, into one pool of memory.

    Replays of all recordings share memory for inputs and for what lies between input and outputs. That is safe because
    copying in, replaying and copying out are queued together, under one lock, on one stream.
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
        """Make a recording of one shape, (n, channels, H, W); its input is channels-last."""
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


class CudaGraphs:
    """A network, or more work with it, that replays recordings.

    A shape is recorded when it comes a second time; what has no recording runs as it is. Rows of a recording's memory
    that a call does not fill hold an earlier call's items: each item is computed from itself alone, and what becomes of
    those rows is cut off.
    """

    def __init__(self, work: Work, recorder: Recorder, most: Mapping[ItemShape, int]) -> None:
        """Record nothing yet.

        Args:
            work: from a batch to outputs whose first dimension is the batch's; it launches the same kernels whatever
                the values are, and waits for nothing.
            recorder: of the device that it runs on.
            most: for each shape of an item that is worth a recording, how many a full call has.
        """
        self._work = work
        self._recorder = recorder
        self._most = most
        self._seen: set[Shape] = set()
        self._recordings: dict[Shape, Recording] = {}

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Outputs:
        """The work's outputs, in memory of their own."""
        with self._recorder.lock:
            count, channels, height, width = batch.shape
            recording = self._recording_for(count, (channels, height, width))
            if recording is None:
                return self._work(batch)
            recording.batch[: len(batch)].copy_(batch)
            return tuple(output[: len(batch)].clone() for output in recording.replay())

    @property
    def recorded(self) -> tuple[Shape, ...]:
        """The shapes that have a recording, in the order in which they were recorded."""
        return tuple(self._recordings)

    @torch.inference_mode()
    def record_all(self, deadline: float) -> int:
        """Record all sizes of all shapes, the largest first, since smaller ones then fit into the same memory.

        Begins nothing after the deadline of `time.monotonic`; returns how many there was no time or no room for.
        """
        sizes = {(count, *item) for item, most in self._most.items() for count in counts_up_to(most)}
        wanted = sorted(sizes - set(self._recordings), key=lambda shape: -torch.Size(shape).numel())
        for number, shape in enumerate(wanted):
            if time.monotonic() > deadline or len(self._recordings) >= MOST_RECORDINGS:
                return len(wanted) - number
            with self._recorder.lock:
                self._recordings[shape] = self._recorder.record(self._work, shape)
        return 0

    def _recording_for(self, count: int, item: ItemShape) -> Recording | None:
        """The recording that a call fits into, made now if it is time for it."""
        most = self._most.get(item, 0)
        if not 0 < count <= most:
            return None
        padded = (padded_count(count, most), *item)
        if padded in self._seen and padded not in self._recordings and len(self._recordings) < MOST_RECORDINGS:
            self._recordings[padded] = self._recorder.record(self._work, padded)
        self._seen.add(padded)
        return self._recordings.get(padded)


def padded_count(count: int, most: int) -> int:
    """The size a call is filled up to: the next power of two, but no more than a full call."""
    return min(1 << (count - 1).bit_length(), most)


def counts_up_to(most: int) -> list[int]:
    """All sizes that calls of up to `most` items are filled up to."""
    return sorted({padded_count(count, most) for count in range(1, most + 1)})


def _repeated(work: Work, batch: Tensor) -> Callable[[], Outputs]:
    """The work where there are no graphs: like a graph it reads one memory and overwrites one set of outputs."""
    outputs = tuple(output.clone() for output in work(batch))

    def replay() -> Outputs:
        for output, value in zip(outputs, work(batch), strict=True):
            output.copy_(value)
        return outputs

    return replay
