"""Chooses device, number format and engine; runs the networks; owns every copy between host and device.

On a CPU the networks run in OpenVINO, which is 2 to 4 times as fast there as eager PyTorch; on CUDA, and where asked
for, in PyTorch. Both sit behind one callable: tensors in, tensors out, on `Engine.device`. `Engine.each` runs the calls
of a stage: in turn on CUDA, one a core on a CPU.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from quintet.engine.calls import QUARTERS, Parts, plan_calls
from quintet.engine.cores import usable_cores
from quintet.engine.cuda_graphs import Recorder
from quintet.engine.few_shapes import FewShapes, ItemShape
from quintet.engine.networks import Network, OpenVino, Shrink, Shrinking, as_they_are, torch_network
from quintet.engine.settings import EngineSettings
from quintet.engine.weights import NetworkStore
from quintet.errors import SettingsError

Call = TypeVar("Call")
Result = TypeVar("Result")
Options = Mapping[str, Mapping[str, str]]
Classes = Mapping[str, Sequence[int]]

# cudaHostRegister: for all contexts of the process; memory that is mapped read only is refused without the second.
_PORTABLE, _READ_ONLY = 1, 8


class Engine:
    """One device with the networks of a store on it.

    Attributes:
        device: where all tensors of the chain live.
        name: what runs the networks: `torch` or `openvino`.
        dtype: of the networks' inputs.
        fills_calls: whether calls are filled up to few sizes: on CUDA. A CPU's own are cheaper for it.
        threads: how many calls run side by side on a CPU.
        host_copies: how often tensors were copied back to the host since start.
        waits: how often the host waited for the device for another reason.
    """

    def __init__(
        self,
        settings: EngineSettings,
        store: NetworkStore,
        device_index: int | None = None,
        openvino_options: Options | None = None,
        classes: Classes | None = None,
    ) -> None:
        """Verify the weights against their hashes; each network is put on the device when it is first asked for.

        Args:
            settings: of the engine.
            store: its networks.
            device_index: which of several CUDA devices.
            openvino_options: by network.
            classes: of the last layer that are kept, by network; of all others, all are.

        Raises:
            WeightsError: weights are missing, changed or not what the networks need.
            SettingsError: the settings ask for a device or a format that this machine does not have.
        """
        store.verify()
        self.device = _choose_device(settings.device, device_index)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # streams, graphs and page-locked memory belong to the current one
        self.name, self.dtype = _choose_engine(settings, self.device)
        if self.device.type == "cuda" and self.dtype == torch.float32:
            # Otherwise convolutions round their inputs to the 10 bits of TF32. The flags are the process's.
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self.threads = settings.threads or usable_cores()
        self.host_copies = 0
        self.waits = 0
        self._workers = _one_threaded_workers(self.threads) if self.device.type == "cpu" else None
        openvino = OpenVino(self.threads, settings.dtype) if self.name == "openvino" else None
        self._loaded = cache(partial(self._load, store, openvino, openvino_options or {}, classes or {}))
        # Only where told: what recorded launches bring has not been measured yet.
        self._recorder = Recorder(self.device, self.dtype) if settings.graphs == "captured" else None
        self.fills_calls = self.device.type == "cuda" or self._recorder is not None
        self._few_shapes: list[FewShapes] = []

    def network(self, name: str, shrink: Shrink = as_they_are) -> Network:
        """One network of the store: a batch of its shape in `dtype` in, its outputs in `dtype` out.

        What `shrink` makes of the outputs at once is for outputs so large that keeping them costs: it may look at
        them, but not return or keep them.
        """
        run = self._loaded(name)
        return lambda batch: run(batch, shrink)

    def plan(
        self, sizes_px: Tensor, budget_px: int, parts: Parts = QUARTERS, *, few_sizes: bool = False
    ) -> list[Tensor]:
        """Item numbers of each call, as `plan_calls`; the parts of a full call count where `fills_calls`."""
        return plan_calls(sizes_px, budget_px, few_sizes=few_sizes, parts=parts if self.fills_calls else None)

    def in_few_shapes(
        self,
        work: Network,
        full: Mapping[ItemShape, int],
        parts: Parts = QUARTERS,
        *,
        usual: int | None = None,
        captured: bool = True,
    ) -> Network:
        """The same work, where `fills_calls` with few shapes of calls, which `prepare` runs before; see `FewShapes`.

        Args:
            work: a network, or more work with it.
            full: for each shape of an item, the most usual first, how many a full call has.
            parts: of a full call, that calls are filled up to; those that `plan` is told.
            usual: how many of the shapes of an item are prepared; all, if None.
            captured: whether its launches are recorded where the setting `graphs` says so.
        """
        if not self.fills_calls:
            return work
        blank = torch.empty(0, dtype=self.dtype, device=self.device)
        recorder = self._recorder if captured else None
        self._few_shapes.append(FewShapes(work, full, parts, blank, recorder, usual))
        return self._few_shapes[-1]

    def prepare(self, within_s: float) -> tuple[int, int]:
        """Run the shapes that networks are called with, those of the network with the fewest first.

        To be called by the thread that calls the networks. Shapes that are left cost the first batch that has them.

        Returns:
            How many shapes were prepared, and for how many there was no time.
        """
        deadline = time.monotonic() + within_s
        networks = sorted(self._few_shapes, key=lambda network: len(network.shapes))
        counts = [network.prepare(deadline) for network in networks]
        self.settle()
        return sum(prepared for prepared, _ in counts), sum(left for _, left in counts)

    def each(self, work: Callable[[Call], Result], calls: Sequence[Call]) -> list[Result]:
        """Do the work of each call of a stage: its preparation, its network, what shrinks its result; results in order.

        A CPU takes one call a core, each single-threaded from the page to the result: no barrier between the threads of
        an operator, and no core that waits while another prepares. CUDA overlaps by itself. The work runs beside that
        of other calls, so it changes nothing that they read.
        """
        if self._workers is None or len(calls) < 2:
            return [work(call) for call in calls]
        return list(self._workers.map(torch.inference_mode()(work), calls))

    def largest(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """The largest of the last dimension and where it stands, the first of equals: (..., K) floats to (...) twice.

        On a CPU NumPy finds it: over the 18,710 classes of recognition 6 to 11 times as fast as PyTorch, which does not
        vectorise a maximum that tells its place. NumPy has no bfloat16, but what is not negative is in the order of its
        bits.
        """
        if probabilities.device.type != "cpu" or probabilities.dtype not in {torch.float32, torch.bfloat16}:
            return probabilities.max(dim=-1)
        ordered = probabilities.view(torch.int16) if probabilities.dtype == torch.bfloat16 else probabilities
        places = torch.from_numpy(np.argmax(ordered.numpy(), axis=-1))
        return probabilities.gather(-1, places[..., None]).squeeze(-1), places

    def to_device(self, tensor: Tensor) -> Tensor:
        """A host tensor on the device; from page-locked memory the copy runs beside the host's own work."""
        return tensor.to(self.device, non_blocking=True)

    def calls_to_device(self, calls: Sequence[Tensor]) -> list[Tensor]:
        """Item numbers of calls on the device, in one copy for all: int64."""
        numbers = self.to_device(torch.cat([torch.empty(0, dtype=torch.int64), *calls]))
        return list(numbers.split([len(call) for call in calls]))

    def settle(self) -> None:
        """Wait until the device has done what was queued; nothing to wait for on a CPU."""
        if self.device.type == "cuda":
            self.waits += 1
            torch.cuda.current_stream(self.device).synchronize()

    def mark(self) -> Callable[[], None]:
        """What waits until the device has done all that is queued by now; nothing to wait for on a CPU."""
        if self.device.type != "cuda":
            return lambda: None
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self.device))

        def wait() -> None:
            if not event.query():
                self.waits += 1
                event.synchronize()

        return wait

    def pin(self, memory: memoryview) -> bool:
        """Page-lock memory that PyTorch did not make, so that copies from it run beside the host's work.

        Whether it was done: not on a CPU, where nothing is gained, nor where CUDA refuses. Copies work either way.
        """
        if self.device.type != "cuda":
            return False
        address, flags = np.frombuffer(memory, np.uint8).ctypes.data, _PORTABLE | _READ_ONLY * memory.readonly
        with torch.cuda.device(self.device):
            return int(torch.cuda.cudart().cudaHostRegister(address, memory.nbytes, flags)) == 0

    def unpin(self, memory: memoryview) -> None:
        """Undo a `pin` that was done, before the memory is unmapped."""
        address = np.frombuffer(memory, np.uint8).ctypes.data
        with torch.cuda.device(self.device):
            torch.cuda.synchronize()  # a batch that failed half-way may have left copies under way
            torch.cuda.cudart().cudaHostUnregister(address)

    def to_host(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors of any shapes and dtypes on the host, in one copy: the one place where results cross."""
        self.host_copies += 1
        # By their strides, because a tensor of one element is contiguous with any.
        flat = [tensor.contiguous().as_strided((tensor.numel(),), (1,)).view(torch.uint8) for tensor in tensors]
        # In whole 8-byte words, so that every piece is aligned for its dtype.
        padded = [torch.nn.functional.pad(piece, (0, -len(piece) % 8)) for piece in flat]
        pieces = torch.cat(padded).cpu().split([len(piece) for piece in padded])
        return tuple(
            piece[: len(source)].view(tensor.dtype).view(tensor.shape)
            for piece, source, tensor in zip(pieces, flat, tensors, strict=True)
        )

    def memory_bytes(self) -> dict[str, int]:
        """Device memory in tensors, held by PyTorch, used by everybody, and there in all; zeros on a CPU."""
        if self.device.type != "cuda":
            return dict.fromkeys(("allocated", "reserved", "used", "total"), 0)
        free, total = torch.cuda.mem_get_info(self.device)
        allocated, reserved = torch.cuda.memory_allocated(self.device), torch.cuda.memory_reserved(self.device)
        return {"allocated": allocated, "reserved": reserved, "used": total - free, "total": total}

    def _load(
        self, store: NetworkStore, openvino: OpenVino | None, options: Options, classes: Classes, name: str
    ) -> Shrinking:
        """One network; what OpenVINO cannot read runs in PyTorch beside it."""
        if openvino and (path := store.openvino_path(name)):
            return openvino.network(path, options.get(name, {}), classes.get(name))
        return torch_network(store.load(name, classes.get(name)), self.device, self.dtype)


def _choose_device(asked: str, index: int | None) -> torch.device:
    """The device that was asked for, or CUDA where there is one; `index` tells several of these apart."""
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise SettingsError("setting device is 'cuda', but torch sees no CUDA device: set it to auto or cpu")
    return torch.device("cuda", index or 0) if available and asked != "cpu" else torch.device("cpu")


def _choose_engine(settings: EngineSettings, device: torch.device) -> tuple[str, torch.dtype]:
    """What runs the networks, and the dtype of their inputs.

    Unless told, PyTorch in half precision on CUDA (all lines read alike, see docs/performance.md), and OpenVINO on a
    CPU, which takes and gives float32 whatever it computes in.
    """
    on_cpu, asked = device.type == "cpu", settings.engine
    if asked == "openvino" and not on_cpu:
        raise SettingsError("setting engine is 'openvino', which runs on the CPU: set device to cpu or engine to torch")
    name = asked if asked != "auto" else "openvino" if on_cpu else "torch"
    if name == "openvino" and settings.dtype == "float16":
        raise SettingsError("setting dtype is 'float16', which OpenVINO has not on a CPU: set dtype to auto")
    if name == "openvino" and settings.graphs == "captured":
        raise SettingsError("setting graphs is 'captured', which OpenVINO has not: set engine to torch")
    dtypes = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    usual = torch.float32 if on_cpu else torch.float16
    return name, usual if name == "openvino" else dtypes.get(settings.dtype, usual)


def _one_threaded_workers(count: int) -> ThreadPoolExecutor:
    """Workers that run PyTorch on one thread each, while the thread that asks keeps `count` for itself."""
    torch.set_num_threads(count)
    torch.get_num_threads()  # Settles this thread's number before a worker's becomes the default.
    return ThreadPoolExecutor(count, "chain", initializer=torch.set_num_threads, initargs=(1,))
