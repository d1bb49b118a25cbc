"""How networks run: PyTorch or OpenVINO behind one callable."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from quintet.engine.graphs.classes import keep_in_openvino

# A batch in; the outputs, or what was made of them.
Network = Callable[[Tensor], tuple[Tensor, ...]]
# What is made of the outputs while they lie in the network's own memory.
Shrink = Callable[..., tuple[Tensor, ...]]
Shrinking = Callable[[Tensor, Shrink], tuple[Tensor, ...]]
# Over so many classes probabilities are most of what a network writes.
_MANY = 1000


def as_they_are(*outputs: Tensor) -> tuple[Tensor, ...]:
    """Shrink nothing."""
    return outputs


def torch_network(module: nn.Module, device: torch.device, dtype: torch.dtype) -> Shrinking:
    """A network in PyTorch; one of images channels last."""
    module = module.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)

    def run(batch: Tensor, shrink: Shrink) -> tuple[Tensor, ...]:
        outputs = module(batch.to(memory_format=torch.channels_last) if batch.ndim == 4 else batch)
        return shrink(*(outputs if isinstance(outputs, tuple) else (outputs,)))

    return run


class OpenVino:
    """Compiles networks for the CPU with one stream a thread: as many calls as there are threads run at once."""

    def __init__(self, threads: int, dtype: str) -> None:
        """Prepare for so many threads of all networks together; nothing is compiled yet. `dtype` is the setting."""
        import openvino  # other machines need not have it

        self._core = openvino.Core()
        # The first array crosses into OpenVINO here, alone. pybind11 looks NumPy up in a static initialiser and lets go
        # of the GIL meanwhile: of two threads whose first arrays cross together each waited for what the other held.
        openvino.Tensor(np.zeros(1, np.float32)).element_type.to_dtype()
        self._options: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": threads}
        # Left to itself OpenVINO takes bfloat16 where the CPU computes in it: half the time, as many words right.
        if dtype != "auto":
            self._options["INFERENCE_PRECISION_HINT"] = {"float32": "f32", "bfloat16": "bf16"}[dtype]
        usual = self._core.get_property("CPU", "INFERENCE_PRECISION_HINT").get_type_name()
        self._in_bfloat16 = self._options.get("INFERENCE_PRECISION_HINT", usual) == "bf16"

    def network(self, path: Path, options: Mapping[str, str], classes: Sequence[int] | None = None) -> Shrinking:
        """Compile one network with dynamic shapes; its callable may be called by several threads at once.

        With `classes`, its last layer has these alone.
        """
        model = self._core.read_model(path)
        if classes is not None:
            keep_in_openvino(model, classes)
        if self._in_bfloat16:
            model = self._narrowed(model)
        compiled = self._core.compile_model(model, "CPU", {**self._options, **options})
        bfloat16 = [output.element_type.get_type_name() == "bf16" for output in compiled.outputs]
        own = threading.local()

        def run(batch: Tensor, shrink: Shrink) -> tuple[Tensor, ...]:
            if not hasattr(own, "request"):
                own.request = compiled.create_infer_request()
            # Some of its nodes refuse an empty batch: one item says what shapes the outputs have.
            fed = batch if len(batch) else batch.new_zeros(1, *batch.shape[1:])
            # Views of memory that this thread's next call overwrites: outputs that are not shrunk are copied.
            outputs = own.request.infer(fed.contiguous().numpy(), share_inputs=True, share_outputs=True)
            views = [_as_tensor(np.asarray(outputs[i]), is_bfloat16=it)[: len(batch)] for i, it in enumerate(bfloat16)]
            return tuple(map(_kept, views)) if shrink is as_they_are else shrink(*views)

        return run

    def _narrowed(self, model: Any) -> Any:  # noqa: ANN401 - an openvino.Model
        """The model, whose softmaxes over many classes leave it in bfloat16: half the bytes to write and to read."""
        from openvino import Type
        from openvino.preprocess import PrePostProcessor

        narrowed = PrePostProcessor(model)
        for number, output in enumerate(model.outputs):
            shape = output.partial_shape
            many = shape.rank.is_static and shape[-1].is_static and shape[-1].get_length() >= _MANY
            if many and output.node.input_value(0).node.get_type_name() == "Softmax":
                narrowed.output(number).tensor().set_element_type(Type.bf16)
        return narrowed.build()


def _as_tensor(values: NDArray[Any], *, is_bfloat16: bool) -> Tensor:
    """An output where it lies; NumPy has no bfloat16 and takes it for float16."""
    return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16) if is_bfloat16 else torch.from_numpy(values)


def _kept(view: Tensor) -> Tensor:
    """A copy; of what was narrowed in float32."""
    return view.float() if view.dtype == torch.bfloat16 else view.clone()
