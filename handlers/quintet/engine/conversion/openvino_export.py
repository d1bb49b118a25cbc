"""PyTorch modules as OpenVINO's own files, for CPUs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino
import torch
from torch import nn
from torch.export import Dim, export

from quintet.engine.conversion.verification import FREE_SIZES, Array, Run


class NotConvertibleError(RuntimeError):
    """PyTorch cannot export a module, or OpenVINO cannot read what it exports; says why."""


def save_for_openvino(module: nn.Module, shape: Sequence[int | str], path: Path) -> None:
    """Write a module of one input as .xml and .bin; of the input's shape, strings may vary.

    Raises:
        NotConvertibleError: it cannot be written so.
    """
    sizes = [2, *(int(FREE_SIZES[0].get(str(size), size)) for size in shape[1:])]
    free = {place: Dim.AUTO for place, size in enumerate(shape) if isinstance(size, str)}
    try:
        exported = export(module, (torch.zeros(sizes),), dynamic_shapes=(free,), strict=False)
        model = openvino.convert_model(exported)
        model.reshape([-1 if isinstance(size, str) else size for size in shape])
    except Exception as error:  # both raise many types
        raise NotConvertibleError(str(error).strip().partition("\n")[0]) from error
    openvino.save_model(model, path, compress_to_fp16=False)


def openvino_run(path: Path) -> Run:
    """What runs a file of OpenVINO's, in float32."""
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(batch: Array) -> list[Array]:
        outputs = compiled(batch)
        return [np.asarray(outputs[place]) for place in range(len(compiled.outputs))]

    return run
