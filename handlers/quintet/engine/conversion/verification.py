"""A converted network run beside its original: the same numbers, at several batches and sizes, or an error."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from quintet.errors import WeightsError

# The five networks stay below 2e-5. PP-OCRv6's tiny detector magnifies rounding: ONNX Runtime itself is 1.1e-4 off what
# it says in double precision, at noise of 320 x 352. What is converted wrongly is off by far more.
MAX_ABS_ERROR = 5e-4
BATCHES = (1, 3)
# Both widths and heights are multiples of 32 (detection) and so of 8 (recognition).
FREE_SIZES = ({"H": 192, "W": 160}, {"H": 320, "W": 352})

Array = NDArray[np.float32]
Shapes = tuple[tuple[int, ...], ...]
# A batch in, the outputs out.
Run = Callable[[Array], list[Array]]


def compare(
    name: str, reference: Run, candidates: Sequence[Run], shape: Sequence[int | str]
) -> tuple[float, Shapes, Shapes]:
    """Compare what runs a converted network with the original, run item by item.

    Of the input's shape, strings may vary; the first one is the batch.

    Returns:
        The largest difference of any output of any trial, the shapes of the inputs tried, and those of the last trial's
        outputs.

    Raises:
        WeightsError: outputs differ by more than `MAX_ABS_ERROR`, in shape, or are not finite.
    """
    errors: list[float] = []
    trials: list[tuple[int, ...]] = []
    outputs: Shapes = ()
    for batch in _inputs(shape):
        expected = _item_by_item(reference, batch)
        outputs = tuple(value.shape for value in expected)
        trials.append(batch.shape)
        for actual in (run(batch) for run in candidates):
            if tuple(value.shape for value in actual) != outputs:
                raise WeightsError(f"{name}: at {batch.shape} outputs have other shapes than the original's {outputs}")
            errors += [float(np.abs(a - b).max()) for a, b in zip(actual, expected, strict=True)]
    error = float(np.max(errors))  # NaN if one is, which Python's own max would pass over
    if not error <= MAX_ABS_ERROR:  # so written, NaN is refused too
        raise WeightsError(f"{name}: the converted network is off by {error:.1e}, allowed is {MAX_ABS_ERROR:.0e}")
    return error, tuple(trials), outputs


def _inputs(shape: Sequence[int | str]) -> Iterator[Array]:
    random = np.random.default_rng(0)
    sizes = dict.fromkeys(tuple(free.get(str(dim), dim) for dim in shape[1:]) for free in FREE_SIZES)
    for size, batch in product(sizes, BATCHES):
        yield random.standard_normal((batch, *map(int, size)), dtype=np.float32)


def _item_by_item(run: Run, batch: Array) -> list[Array]:
    single = [run(batch[i : i + 1]) for i in range(len(batch))]
    return [np.concatenate(values) for values in zip(*single, strict=True)]


def onnx_run(model: bytes) -> Run:
    """What runs an ONNX model of one input."""
    session = onnxruntime.InferenceSession(model)
    name = session.get_inputs()[0].name
    return lambda batch: list(session.run(None, {name: batch}))


def torch_run(module: nn.Module) -> Run:
    """What runs a module of one input."""

    def run(batch: Array) -> list[Array]:
        with torch.inference_mode():
            outputs = module(torch.from_numpy(batch))
        return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return run
