"""An ONNX model with its input's shape rewritten, so that any engine takes any batch."""

from collections.abc import Sequence

import onnx
from onnx import numpy_helper

from quintet.errors import WeightsError


def with_shape(model: onnx.ModelProto, shape: Sequence[int | str]) -> onnx.ModelProto:
    """A copy of the model with its one input declared in a shape, and no batch of one baked in.

    A model exported for one image holds Reshapes to ``[1, C, -1]``. At batch 3 they do not fail: they lay three images
    end to end and call them one. Their first entry becomes 0, which in ONNX copies the input's own dimension. Stored
    shapes of inner values are left out, since they spoke of the old input.

    Args:
        model: a model with one input whose first dimension is the batch.
        shape: the new shape of the input; a string is a dimension that may vary.

    Raises:
        WeightsError: the model has not exactly one input.
    """
    patched = onnx.ModelProto()
    patched.CopyFrom(model)
    graph = patched.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if len(inputs) != 1:
        raise WeightsError(f"the model has {len(inputs)} inputs, not 1: {[value.name for value in inputs]}")
    dims = inputs[0].type.tensor_type.shape.dim
    if dims[0].dim_value == 1:
        _free_reshapes(graph)
    for dim, size in zip(dims, shape, strict=True):
        dim.CopyFrom(_dimension(size))
    for value in graph.output:
        value.type.tensor_type.shape.dim[0].CopyFrom(_dimension(shape[0]))
    del graph.value_info[:]
    return patched


def _dimension(size: int | str) -> onnx.TensorShapeProto.Dimension:
    dimension = onnx.TensorShapeProto.Dimension
    return dimension(dim_param=size) if isinstance(size, str) else dimension(dim_value=size)


def _free_reshapes(graph: onnx.GraphProto) -> None:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    for node in graph.node:
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        # A Reshape of a constant (a bias) has no batch to free.
        if shape is None or node.input[0] in constants or shape[0] != 1:
            continue
        freed = shape.copy()
        freed[0] = 0
        # Its own constant: others may read the old one.
        name = f"{node.output[0]}:shape"
        graph.initializer.append(numpy_helper.from_array(freed, name))
        node.input[1] = name
    used = {name for node in graph.node for name in node.input}
    for node in [n for n in graph.node if n.op_type == "Constant" and n.output[0] not in used]:
        graph.node.remove(node)
