"""The five networks in OpenVINO, on a CPU."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from torch import Tensor

from quintet.engine import weights
from quintet.engine.networks import Shrink, Shrinking, as_they_are

# OpenVINO keeps what it prepared for each shape, 5,000 operators a network and stream. Canvases come in hundreds of
# sizes, at 4 MB each: 1,000 operators are 13 of them, and preparing anew costs 2 % of a call.
_KEPT = {"text_detection": {"CPU_RUNTIME_CACHE_CAPACITY": "1000"}}


class OpenVinoNetworks:
    """Compiles networks with one stream a thread, so that as many calls as there are threads run at once."""

    def __init__(self, threads: int, dtype: str, model_store: Path) -> None:
        """Prepare; nothing is compiled yet.

        Args:
            threads: of all networks together.
            dtype: the setting.
            model_store: holds the networks as ONNX.
        """
        self._core = openvino.Core()
        # The first array crosses into OpenVINO here, alone. pybind11 looks NumPy up in a static initialiser and lets go
        # of the GIL meanwhile: of two threads whose first arrays cross together each waited for what the other held.
        openvino.Tensor(np.zeros(1, np.float32)).element_type.to_dtype()
        self._model_store = model_store
        self._options: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": threads}
        # Left to itself OpenVINO takes bfloat16 where the CPU computes in it: half the time, as many words right.
        if dtype != "auto":
            self._options["INFERENCE_PRECISION_HINT"] = {"float32": "f32", "bfloat16": "bf16"}[dtype]

    def network(self, stage: str) -> Shrinking:
        """Compile one network with dynamic shapes; its callable may be called by several threads at once."""
        options = {**self._options, **_KEPT.get(stage, {})}
        compiled = self._core.compile_model(weights.network_onnx_path(self._model_store, stage), "CPU", options)
        own = threading.local()

        def run(batch: Tensor, shrink: Shrink) -> tuple[Tensor, ...]:
            if not hasattr(own, "request"):
                own.request = compiled.create_infer_request()
            # Views of memory that this thread's next call overwrites: outputs that are not shrunk are copied.
            outputs = own.request.infer(batch.contiguous().numpy(), share_inputs=True, share_outputs=True)
            views = [torch.from_numpy(np.asarray(outputs[i])) for i in range(len(compiled.outputs))]
            return tuple(view.clone() for view in views) if shrink is as_they_are else shrink(*views)

        return run
