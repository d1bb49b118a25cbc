"""Chooses device, number format and engine; runs the networks; owns every copy between host and device.

Nothing else in the chain asks where it runs. On a CPU the networks run in OpenVINO, which is 2 to 4 times as fast there
as eager PyTorch; on CUDA, and where asked for, they run in PyTorch. Both sit behind one callable: tensors in, tensors
out, on `Engine.device`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quintet import weights
from quintet.errors import SettingsError
from quintet.settings import Settings

Network = Callable[[Tensor], tuple[Tensor, ...]]


class Engine:
    """One device with the five networks on it.

    Attributes:
        device: where all tensors of the chain live.
        dtype: of the networks' inputs.
        host_copies: how often tensors were copied back to the host since start; the chain's tests hold it against the
            size of the batch.
    """

    def __init__(self, settings: Settings, model_store: Path, device_index: int | None = None) -> None:
        """Verify the weights against their hashes and put the networks on the device.

        Raises:
            WeightsError: weights are missing, changed or not what the networks need.
            SettingsError: the settings ask for a device or a format that this machine does not have.
        """
        weights.verify_store(model_store)
        self.device = _choose_device(settings.device, device_index)
        self.name = _choose_engine(settings.engine, self.device)
        self.dtype = _choose_dtype(settings.dtype, self.device, self.name)
        self.threads = settings.threads or len(os.sched_getaffinity(0))
        self.host_copies = 0
        torch.set_num_threads(self.threads)
        build = (
            _OpenVino(self.threads, model_store).network
            if self.name == "openvino"
            else self._torch_network(model_store)
        )
        self._networks: dict[str, Network] = {stage: build(stage) for stage in weights.STAGES}

    def network(self, stage: str) -> Network:
        """The network of one stage: (N, 3, H, W) of `dtype` in, its outputs in `dtype` out."""
        return self._networks[stage]

    def to_device(self, tensor: Tensor) -> Tensor:
        """A host tensor on the device; from page-locked memory the copy runs beside the host's own work."""
        return tensor.to(self.device, non_blocking=True)

    def staging(self, count: int, dtype: torch.dtype) -> Tensor:
        """Host memory to fill and hand to `to_device`: page-locked where that helps."""
        return torch.empty(count, dtype=dtype, pin_memory=self.device.type == "cuda")

    def to_host(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors on the host, in one copy: the one place where results cross.

        Args:
            tensors: of any shapes and dtypes, on the device.

        Returns:
            The same, on the host.
        """
        self.host_copies += 1
        if self.device.type == "cpu":
            return tensors
        flat = [tensor.contiguous().view(-1).view(torch.uint8) for tensor in tensors]
        packed = torch.cat([_padded(piece) for piece in flat]).cpu()
        pieces = packed.split([_padded_size(len(piece)) for piece in flat])
        return tuple(
            piece[: len(source)].view(tensor.dtype).view(tensor.shape)
            for piece, source, tensor in zip(pieces, flat, tensors, strict=True)
        )

    def _torch_network(self, model_store: Path) -> Callable[[str], Network]:
        """A builder of PyTorch networks on this engine's device."""

        def build(stage: str) -> Network:
            module = weights.load_network(model_store, stage).to(device=self.device, dtype=self.dtype)
            module = module.to(memory_format=torch.channels_last)

            def run(batch: Tensor) -> tuple[Tensor, ...]:
                outputs = module(batch.to(memory_format=torch.channels_last))
                return outputs if isinstance(outputs, tuple) else (outputs,)

            return run

        return build


class _OpenVino:
    """Networks in OpenVINO on the CPU."""

    def __init__(self, threads: int, model_store: Path) -> None:
        import openvino

        self._core = openvino.Core()
        self._model_store = model_store
        self._options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def network(self, stage: str) -> Network:
        """Compile one network with dynamic shapes."""
        compiled = self._core.compile_model(weights.network_onnx_path(self._model_store, stage), "CPU", self._options)

        def run(batch: Tensor) -> tuple[Tensor, ...]:
            outputs = compiled(batch.contiguous().numpy(), share_inputs=True)
            return tuple(torch.from_numpy(np.asarray(outputs[i])) for i in range(len(compiled.outputs)))

        return run


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
    """Half precision on CUDA (all lines read alike, see docs/performance.md), single on a CPU, unless told."""
    if asked == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if engine == "openvino" and asked != "float32":
        raise SettingsError(f"setting dtype is {asked!r}, but OpenVINO runs in float32 here: set dtype to auto")
    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[asked]


def _padded_size(size: int) -> int:
    """Bytes rounded up to whole 8-byte words, so that every piece of a packed copy is aligned for its dtype."""
    return -(-size // 8) * 8


def _padded(piece: Tensor) -> Tensor:
    """A byte tensor filled up to whole 8-byte words."""
    return torch.nn.functional.pad(piece, (0, _padded_size(len(piece)) - len(piece)))
