"""A converted network run beside its original: the same numbers, at several batches and sizes, or an error."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import fx

from quintet.errors import WeightsError

MAX_ABS_ERROR = 1e-4
BATCHES = (1, 3)
# Both widths and heights are multiples of 32 (detection) and so of 8 (recognition).
FREE_SIZES = ({"H": 192, "W": 160}, {"H": 320, "W": 352})

Array = NDArray[np.float32]
Shapes = tuple[tuple[int, ...], ...]


def compare(
    name: str, original: bytes, patched: bytes, module: fx.GraphModule, shape: Sequence[int | str]
) -> tuple[float, Shapes, Shapes]:
    """Compare the converted network, and the patched ONNX, with the original run image by image.

    Of the input's shape, strings may vary; the first one is the batch.

    Returns:
        The largest difference of any output of any trial, the shapes of the inputs tried, and those of the last trial's
        outputs.

    Raises:
        WeightsError: outputs differ by more than `MAX_ABS_ERROR`, in shape, or are not finite.
    """
    reference, freed = (onnxruntime.InferenceSession(model) for model in (original, patched))
    errors: list[float] = []
    trials: list[tuple[int, ...]] = []
    outputs: Shapes = ()
    for image in _inputs(shape):
        expected = _image_by_image(reference, image)
        outputs = tuple(value.shape for value in expected)
        trials.append(image.shape)
        for actual in (_run_torch(module, image), freed.run(None, {freed.get_inputs()[0].name: image})):
            if tuple(value.shape for value in actual) != outputs:
                raise WeightsError(f"{name}: at {image.shape} outputs have other shapes than the original's {outputs}")
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


def _image_by_image(session: onnxruntime.InferenceSession, images: Array) -> list[Array]:
    name = session.get_inputs()[0].name
    single = [session.run(None, {name: images[i : i + 1]}) for i in range(len(images))]
    return [np.concatenate(values) for values in zip(*single, strict=True)]


def _run_torch(module: fx.GraphModule, images: Array) -> list[Array]:
    with torch.inference_mode():
        outputs = module(torch.from_numpy(images))
    return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]
