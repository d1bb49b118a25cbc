"""Chooses device, number format and engine; runs the networks; owns every copy between host and device.

Nothing else in the chain asks where it runs. On a CPU the networks run in OpenVINO, which is 2 to 4 times as fast there
as eager PyTorch; on CUDA, and where asked for, they run in PyTorch. Both sit behind one callable: tensors in, tensors
out, on `Engine.device`. `Engine.each` runs the calls of a stage: in turn on CUDA, one a core on a CPU.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from quintet.engine import weights
from quintet.engine.calls import Budgets
from quintet.engine.cuda_graphs import CudaGraphs, ItemShape, Recorder
from quintet.engine.networks import Network, Shrink, Shrinking, as_they_are
from quintet.errors import SettingsError
from quintet.pages.settings import Settings

Call = TypeVar("Call")
Result = TypeVar("Result")

# What a core's own cache holds, and small enough that all cores have calls to run; see docs/performance.md. Few sizes,
# because OpenVINO keeps 1 to 3 MB for every shape of recognition it has seen, once for each of its streams.
CPU_BUDGETS = Budgets(pages=1, detection_pixels=1, line_columns=2560, map_pixels=1, few_sizes=True)

# cudaHostRegister: for all contexts of the process; memory that is mapped read only is refused without the second.
_PORTABLE, _READ_ONLY = 1, 8


class Engine:
    """One device with the five networks on it.

    Attributes:
        device: where all tensors of the chain live.
        dtype: of the networks' inputs.
        budgets: how much goes into one call: what the settings allow, on a CPU what its caches hold.
        host_copies: how often tensors were copied back to the host since start; the chain's tests hold it against the
            size of the batch.
        waits: how often the host waited for the device for another reason.
    """

    def __init__(self, settings: Settings, model_store: Path, device_index: int | None = None) -> None:
        """Verify the weights against their hashes and put the networks on the device.

        Raises:
            WeightsError: weights are missing, changed or not what the networks need.
            SettingsError: the settings ask for a device or a format that this machine does not have.
        """
        weights.verify_store(model_store)
        self.device = _choose_device(settings.device, device_index)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # streams, graphs and page-locked memory belong to the current one
        self.name = _choose_engine(settings.engine, self.device)
        self.dtype = _choose_dtype(settings.dtype, self.device, self.name)
        self.budgets = _choose_budgets(settings, self.device)
        self.threads = settings.threads or len(os.sched_getaffinity(0))
        self.host_copies = 0
        self.waits = 0
        self._workers = _one_threaded_workers(self.threads) if self.device.type == "cpu" else None
        build = (
            _openvino_network(self.threads, settings.dtype, model_store)
            if self.name == "openvino"
            else self._torch_network(model_store)
        )
        self._networks: dict[str, Shrinking] = {stage: build(stage) for stage in weights.STAGES}
        self._recorder = Recorder(self.device, self.dtype) if _choose_graphs(settings.graphs, self.name) else None
        self._captured: list[CudaGraphs] = []

    def network(self, stage: str, shrink: Shrink = as_they_are) -> Network:
        """The network of one stage: (N, 3, H, W) of `dtype` in, its outputs in `dtype` out.

        Args:
            stage: its name.
            shrink: what is made of the outputs at once, for outputs so large that keeping them costs: it may look at
                them, but not return or keep them.
        """
        run = self._networks[stage]
        return lambda batch: run(batch, shrink)

    def captured(self, work: Network, most: dict[ItemShape, int]) -> Network:
        """The same work, its launches recorded and replayed where the setting `graphs` says so.

        Args:
            work: a network, or more with it that shrinks its outputs.
            most: as of `CudaGraphs`.
        """
        if self._recorder is None:
            return work
        self._captured.append(CudaGraphs(work, self._recorder, most))
        return self._captured[-1]

    def record_graphs(self, within_s: float) -> int:
        """Record what can be recorded; returns how many shapes there was no time or no room for."""
        if self.device.type == "cpu":
            return 0
        deadline = time.monotonic() + within_s
        return sum(captured.record_all(deadline) for captured in self._captured)

    def each(self, work: Callable[[Call], Result], calls: Sequence[Call]) -> list[Result]:
        """Do the work of each call of a stage: its preparation, its network, what shrinks its result.

        A CPU takes one call a core, each single-threaded from the page to the result: no barrier between the threads of
        an operator, and no core that waits while another prepares. CUDA overlaps by itself.

        Args:
            work: from one call to its result; at the same time as others, so it changes nothing that they read.
            calls: what tells them apart: their item numbers.

        Returns:
            The results in the order of the calls.
        """
        if self._workers is None or len(calls) < 2:
            return [work(call) for call in calls]
        return list(self._workers.map(torch.inference_mode()(work), calls))

    def largest(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The largest of the last dimension and where it stands, the first of equals.

        On a CPU NumPy finds it: over the 18,710 classes of recognition 6 to 11 times as fast as PyTorch, which does not
        vectorise a maximum that tells its place.

        Args:
            values: (..., K) floats on the device.

        Returns:
            (...) of their dtype and (...) int64.
        """
        if values.device.type != "cpu" or values.dtype != torch.float32:  # NumPy has no bfloat16
            return values.max(dim=-1)
        places = torch.from_numpy(np.argmax(values.numpy(), axis=-1))
        return values.gather(-1, places[..., None]).squeeze(-1), places

    def to_device(self, tensor: Tensor) -> Tensor:
        """A host tensor on the device; from page-locked memory the copy runs beside the host's own work."""
        return tensor.to(self.device, non_blocking=True)

    def settle(self) -> None:
        """Wait until the device has done what was queued; nothing to wait for on a CPU."""
        if self.device.type == "cuda":
            self.waits += 1
            torch.cuda.current_stream(self.device).synchronize()

    def staging(self, count: int, dtype: torch.dtype) -> Tensor:
        """Host memory to fill and hand to `to_device`: page-locked where that helps."""
        return torch.empty(count, dtype=dtype, pin_memory=self.device.type == "cuda")

    def pin(self, memory: memoryview) -> bool:
        """Page-lock memory that is not ours, so that copies from it run beside the host's work.

        Args:
            memory: mapped, read only; stays mapped until it has been given to `unpin`.

        Returns:
            Whether it was done: not on a CPU, where nothing is gained, nor where CUDA refuses. Copies work either way.
        """
        if self.device.type != "cuda":
            return False
        address = np.frombuffer(memory, np.uint8).ctypes.data
        with torch.cuda.device(self.device):
            return int(torch.cuda.cudart().cudaHostRegister(address, len(memory), _PORTABLE | _READ_ONLY)) == 0

    def unpin(self, memory: memoryview) -> None:
        """Undo a `pin` that was done, before the memory is unmapped."""
        address = np.frombuffer(memory, np.uint8).ctypes.data
        with torch.cuda.device(self.device):
            torch.cuda.synchronize()  # a batch that failed half-way may have left copies under way
            torch.cuda.cudart().cudaHostUnregister(address)

    def to_host(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors on the host, in one copy: the one place where results cross.

        Args:
            tensors: of any shapes and dtypes, on the device.

        Returns:
            The same, on the host.
        """
        self.host_copies += 1
        flat = [tensor.contiguous().view(-1).view(torch.uint8) for tensor in tensors]
        packed = torch.cat([_padded(piece) for piece in flat]).cpu()
        pieces = packed.split([_padded_size(len(piece)) for piece in flat])
        return tuple(
            piece[: len(source)].view(tensor.dtype).view(tensor.shape)
            for piece, source, tensor in zip(pieces, flat, tensors, strict=True)
        )

    def memory_bytes(self) -> dict[str, int]:
        """Device memory in tensors, held by PyTorch, used by everybody, and there in all; zeros on a CPU."""
        kinds = ("allocated", "reserved", "used", "total")
        if self.device.type != "cuda":
            return dict.fromkeys(kinds, 0)
        free, total = torch.cuda.mem_get_info(self.device)
        held = (torch.cuda.memory_allocated(self.device), torch.cuda.memory_reserved(self.device))
        return dict(zip(kinds, (*held, total - free, total), strict=True))

    def _torch_network(self, model_store: Path) -> Callable[[str], Shrinking]:
        """A builder of PyTorch networks on this engine's device."""

        def build(stage: str) -> Shrinking:
            module = weights.load_network(model_store, stage).to(device=self.device, dtype=self.dtype)
            module = module.to(memory_format=torch.channels_last)

            def run(batch: Tensor, shrink: Shrink) -> tuple[Tensor, ...]:
                outputs = module(batch.to(memory_format=torch.channels_last))
                return shrink(*(outputs if isinstance(outputs, tuple) else (outputs,)))

            return run

        return build


def _openvino_network(threads: int, dtype: str, model_store: Path) -> Callable[[str], Shrinking]:
    """A builder of OpenVINO networks; imported where they run, since other machines need not have it."""
    from quintet.engine.openvino_networks import OpenVinoNetworks

    return OpenVinoNetworks(threads, dtype, model_store).network


def _choose_device(asked: str, index: int | None) -> torch.device:
    """The device that was asked for, or CUDA where there is one; `index` tells several of these apart."""
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise SettingsError("setting device is 'cuda', but torch sees no CUDA device: set it to auto or cpu")
    return torch.device("cuda", index or 0) if available and asked != "cpu" else torch.device("cpu")


def _choose_engine(asked: str, device: torch.device) -> str:
    """PyTorch on CUDA, OpenVINO on a CPU, unless told."""
    if asked == "openvino" and device.type != "cpu":
        raise SettingsError("setting engine is 'openvino', which runs on the CPU: set device to cpu or engine to torch")
    if asked != "auto":
        return asked
    return "openvino" if device.type == "cpu" else "torch"


def _choose_dtype(asked: str, device: torch.device, engine: str) -> torch.dtype:
    """Half precision on CUDA (all lines read alike, see docs/performance.md), single on a CPU, unless told.

    OpenVINO takes and gives float32, whatever it computes in.
    """
    if engine == "openvino" and asked == "float16":
        raise SettingsError("setting dtype is 'float16', which OpenVINO has not on a CPU: set dtype to auto")
    if asked == "auto" or engine == "openvino":
        return torch.float16 if device.type == "cuda" else torch.float32
    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[asked]


def _choose_graphs(asked: str, engine: str) -> bool:
    """Only where told: what recorded launches bring has not been measured yet, see docs/performance.md."""
    if asked == "captured" and engine == "openvino":
        raise SettingsError("setting graphs is 'captured', which OpenVINO has not: set engine to torch")
    return asked == "captured"


def _choose_budgets(settings: Settings, device: torch.device) -> Budgets:
    """What the settings allow; on a CPU not more than its caches hold."""
    allowed = Budgets(settings.page_calls, settings.detection_call_pixels, settings.line_call_columns)
    return allowed.within(CPU_BUDGETS) if device.type == "cpu" else allowed


def _one_threaded_workers(count: int) -> ThreadPoolExecutor:
    """Workers that run PyTorch on one thread each, while the thread that asks keeps `count` for itself."""
    torch.set_num_threads(count)
    torch.get_num_threads()  # Settles this thread's number before a worker's becomes the default.
    return ThreadPoolExecutor(count, "chain", initializer=torch.set_num_threads, initargs=(1,))


def _padded_size(size: int) -> int:
    """Bytes rounded up to whole 8-byte words, so that every piece of a packed copy is aligned for its dtype."""
    return -(-size // 8) * 8


def _padded(piece: Tensor) -> Tensor:
    """A byte tensor filled up to whole 8-byte words."""
    return torch.nn.functional.pad(piece, (0, _padded_size(len(piece)) - len(piece)))
