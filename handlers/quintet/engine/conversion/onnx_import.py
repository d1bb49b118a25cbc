"""An ONNX graph read into a draft of ours: constants resolved, padding explicit, shape arithmetic turned into sizes.

What is read is what our networks use; anything else is refused by name, never guessed. BatchNormalization becomes a Mul
and an Add, a division by a constant a Mul, a subtraction of one an Add, so that `fusion` has fewer forms to know. What
is made of constants alone is computed here, by ONNX's own reference; the size of a dimension that cannot vary is one.

Shape chains (Shape → Slice → Concat → Reshape) are followed here, so that no tensor of sizes stays in a network: their
values are lists of integers and of names of ``size`` nodes, Python numbers when the network runs, symbols when it is
traced.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from quintet.engine.conversion.draft import Array, Draft, OnnxNode, Size, Sizes
from quintet.errors import WeightsError


def import_onnx(model: onnx.ModelProto) -> Draft:
    """Read the main graph of an ONNX model, opset 11 to 17, float32.

    Raises:
        WeightsError: an operator, or a way of using one, that the importer does not know.
    """
    draft = Draft(constants={t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer})
    draft.inputs = {
        value.name: tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in model.graph.input
        if value.name not in draft.constants
    }
    same: dict[str, str] = {}
    types = _Types(model)
    for proto in model.graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
        inputs = tuple(same.get(name, name) for name in proto.input)
        node = OnnxNode(proto.op_type, inputs, tuple(proto.output), attributes)
        types.infer(node, draft.constants)
        if node.op == "Identity" or (node.op == "Cast" and types.says_the_same(node)):
            same[node.output] = inputs[0]
        else:
            _read(draft, node, types)
    draft.outputs = tuple(same.get(v.name, v.name) for v in model.graph.output)
    return draft


class _Types:
    """What is known of values beside what they are: number format and shape, by ONNX's own inference."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._types = {value.name: value.type for value in model.graph.input}
        for tensor in model.graph.initializer:
            self._types[tensor.name] = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        self._opsets = list(model.opset_import)
        self._version = next(opset.version for opset in self._opsets if not opset.domain)

    def infer(self, node: OnnxNode, constants: Mapping[str, Array]) -> None:
        """Find out about the outputs of a node, those of its inputs being known."""
        if not onnx.defs.has(node.op):
            return  # it is refused by name when it is read
        schema = onnx.defs.get_schema(node.op, self._version)
        types = {name: self._types[name] for name in node.inputs if name in self._types}
        values = {name: constants[name] for name in types if name in constants}
        sizes = {name: onnx.numpy_helper.from_array(v, name) for name, v in values.items() if v.dtype == np.int64}
        try:
            self._types |= onnx.shape_inference.infer_node_outputs(
                schema, _as_proto(node), types, sizes, opset_imports=self._opsets
            )
        except onnx.shape_inference.InferenceError as error:
            raise WeightsError(f"{node.op} {node.output!r} does not fit its inputs: {error}") from error

    def size(self, name: str, dim: int) -> int | None:
        """The size of a dimension that cannot vary; None of one that may, or that is not known."""
        dims = self._types[name].tensor_type.shape.dim if name in self._types else []
        return dims[dim].dim_value or None if -len(dims) <= dim < len(dims) else None

    def rank(self, name: str) -> int:
        """How many dimensions a value has; 4, those of a map, where that is not known."""
        known = name in self._types and self._types[name].tensor_type.HasField("shape")
        return len(self._types[name].tensor_type.shape.dim) if known else 4

    def says_the_same(self, cast: OnnxNode) -> bool:
        """Whether a Cast is to the format that its input has."""
        source = self._types.get(cast.inputs[0])
        return source is not None and source.tensor_type.elem_type == cast.attributes["to"]


def _read(draft: Draft, node: OnnxNode, types: _Types) -> None:
    if node.op == "Constant":
        draft.constants[node.output] = onnx.numpy_helper.to_array(node.attributes["value"])
    elif any(node.inputs) and all(name in draft.constants for name in node.inputs if name):
        draft.constants[node.output] = _folded(draft, node)
    elif (size := _fixed_size(draft, node, types)) is not None:
        draft.constants[node.output] = size
    elif _is_about_sizes(draft, node):
        if node.op not in SIZE_READERS:
            raise WeightsError(f"{node.op} of sizes ({node.output!r}) has no counterpart; add it to onnx_import.py")
        draft.sizes[node.output] = SIZE_READERS[node.op](draft, node)
    elif node.op == "BatchNormalization":
        _batch_norm(draft, node, types.rank(node.inputs[0]))
    elif node.op in READERS:
        READERS[node.op](draft, node)
    else:
        raise WeightsError(f"ONNX operator {node.op} ({node.output!r}) has no counterpart; add it to onnx_import.py")


def _as_proto(node: OnnxNode) -> onnx.NodeProto:
    return onnx.helper.make_node(node.op, node.inputs, node.outputs, **node.attributes)


def _folded(draft: Draft, node: OnnxNode) -> Array:
    """What a node makes of constants."""
    given = {name: draft.constants[name] for name in node.inputs if name}
    try:
        (value,) = ReferenceEvaluator(_as_proto(node)).run(None, given)
    except Exception as error:  # whatever an operator's implementation raises
        raise WeightsError(f"{node.op} of constants ({node.output!r}) cannot be computed: {error}") from error
    return np.asarray(value)


def _fixed_size(draft: Draft, node: OnnxNode, types: _Types) -> Array | None:
    """The size of one dimension that cannot vary, where that is what a node gathers from a whole shape."""
    source = draft.sizes.get(node.inputs[0]) if node.op == "Gather" else None
    if not isinstance(source, str) or not draft.has_constant(node, 1):
        return None
    index = draft.constant(node, 1)
    size = types.size(source, int(index.item())) if index.size == 1 else None
    return None if size is None else np.full(index.shape, size, dtype=np.int64)


def _refuse_if(wrong: bool, node: OnnxNode, reason: str) -> None:
    if wrong:
        raise WeightsError(f"{node.op} {node.output!r}: {reason}")


def _plain(op: str, draft: Draft, node: OnnxNode, **attributes: str) -> None:
    """An operation like ONNX's, under our names of its attributes."""
    draft.emit(node.output, op, *node.inputs, **{ours: node.attributes[theirs] for ours, theirs in attributes.items()})


def _pad(draft: Draft, node: OnnxNode, pad_op: str) -> tuple[str, list[int]]:
    """Return the value to work on and the padding left to the operation, which pads both sides alike."""
    kernel, dilations = node.attributes["kernel_shape"], node.attributes.get("dilations", [1, 1])
    auto = node.attributes.get("auto_pad", b"NOTSET")
    pads = node.attributes.get("pads", [0, 0, 0, 0])  # before height and width, then after them
    if auto == b"SAME_UPPER" and set(node.attributes.get("strides", [1, 1])) == {1}:
        total = [dilation * (length - 1) for length, dilation in zip(kernel, dilations, strict=True)]
        pads = [*(amount // 2 for amount in total), *(amount - amount // 2 for amount in total)]
    else:
        _refuse_if(auto != b"NOTSET", node, f"auto_pad {auto!r} is read as SAME_UPPER at stride 1 only")
    if pads[:2] == pads[2:]:
        return node.inputs[0], pads[:2]
    amounts = [pads[1], pads[3], pads[0], pads[2]]  # torch counts from the last dimension
    return draft.emit(f"{node.output}:padded", pad_op, node.inputs[0], amounts=amounts), [0, 0]


def _pad_before(draft: Draft, node: OnnxNode) -> None:
    """Padding as a step of its own: of zeros, or of the values at the edge."""
    mode = node.attributes.get("mode", b"constant")
    value = float(draft.constant(node, 2).item()) if len(node.inputs) > 2 and node.inputs[2] else 0.0
    op = {(b"constant", 0.0): "pad_zero", (b"constant", float("-inf")): "pad_lowest", (b"edge", 0.0): "pad_edge"}.get(
        (mode, value)
    )
    pads = draft.constant(node, 1).tolist()
    before, after = pads[: len(pads) // 2], pads[len(pads) // 2 :]
    padded = [dim for dim, both in enumerate(zip(before, after, strict=True)) if any(both)]
    known = op is not None and min(pads) >= 0 and len(node.inputs) < 4 and (op != "pad_edge" or padded[:1] >= [2])
    _refuse_if(not known, node, "only zeros, the lowest value and, in maps, the edge are padded with, on all axes")
    # torch counts from the last dimension, as far as there is something to pad.
    amounts = [amount for dim in range(len(before) - 1, min(padded) - 1, -1) for amount in (before[dim], after[dim])]
    draft.emit(node.output, str(op), node.inputs[0], amounts=amounts)


def _convolution(op: str, draft: Draft, node: OnnxNode) -> None:
    weight = draft.constant(node, 1)
    unknown = ("output_padding", "output_shape", *(["pads"] if op == "conv_transpose2d" else []))
    wrong = weight.ndim != 4 or any(any(node.attributes.get(name, ())) for name in unknown)
    _refuse_if(wrong, node, f"only two dimensions are read, without {', '.join(unknown)}")
    source, padding = _pad(draft, node, "pad_zero")
    draft.emit(
        node.output,
        op,
        source,
        *node.inputs[1:],
        stride=node.attributes.get("strides", [1, 1]),
        padding=padding,
        dilation=node.attributes.get("dilations", [1, 1]),
        groups=node.attributes.get("group", 1),
    )


def _pool(op: str, pad_op: str, draft: Draft, node: OnnxNode) -> None:
    source, padding = _pad(draft, node, pad_op)
    padded_average = op == "avg_pool2d" and (any(padding) or source != node.inputs[0])
    _refuse_if(node.attributes.get("ceil_mode") or padded_average, node, "ceil_mode and padded averages are not read")
    kernel, stride = node.attributes["kernel_shape"], node.attributes.get("strides", [1, 1])
    draft.emit(node.output, op, source, kernel_size=kernel, stride=stride, padding=padding)


def _batch_norm(draft: Draft, node: OnnxNode, rank: int) -> None:
    gamma, beta, mean, variance = (draft.constant(node, i).astype(np.float64) for i in range(1, 5))
    scale = gamma / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    channels = (1, -1, *(1,) * (rank - 2))
    factor = draft.emit_constant(f"{node.output}:factor", scale.reshape(channels))
    offset = draft.emit_constant(f"{node.output}:offset", (beta - mean * scale).reshape(channels))
    scaled = draft.emit(f"{node.output}:scaled", "multiply", node.inputs[0], factor)
    draft.emit(node.output, "add", scaled, offset)


def _commutative(op: str, draft: Draft, node: OnnxNode) -> None:
    left, right = node.inputs
    draft.emit(node.output, op, *((right, left) if left in draft.constants else (left, right)))


def _inverse(op: str, forward: str, draft: Draft, node: OnnxNode) -> None:
    if not draft.has_constant(node, 1):
        draft.emit(node.output, op, *node.inputs)
        return
    value = draft.constant(node, 1).astype(np.float64)
    operand = draft.emit_constant(f"{node.output}:operand", 1 / value if op == "divide" else -value)
    draft.emit(node.output, forward, node.inputs[0], operand)


def _hard_sigmoid(draft: Draft, node: OnnxNode) -> None:
    # torch's slope is 1/6; another slope is a factor before it, which folds into the convolution that comes first.
    factor = 6 * node.attributes.get("alpha", 0.2)
    source = node.inputs[0]
    _refuse_if(node.attributes.get("beta", 0.5) != 0.5, node, "beta is not 0.5")
    if not np.isclose(factor, 1, rtol=1e-6, atol=0):
        name = draft.emit_constant(f"{node.output}:slope", factor)
        source = draft.emit(f"{node.output}:scaled", "multiply", source, name)
    draft.emit(node.output, "hardsigmoid", source)


def _mean(draft: Draft, node: OnnxNode) -> None:
    axes = [2, 3] if node.op == "GlobalAveragePool" else node.attributes["axes"]
    draft.emit(node.output, "mean", node.inputs[0], dim=axes, keepdim=bool(node.attributes.get("keepdims", 1)))


def _matmul(draft: Draft, node: OnnxNode) -> None:
    if not draft.has_constant(node, 1):
        draft.emit(node.output, "matmul", *node.inputs)
        return
    weight = draft.constant(node, 1)
    _refuse_if(weight.ndim != 2, node, f"a constant must be a matrix, not of shape {weight.shape}")
    draft.emit(node.output, "linear", node.inputs[0], draft.emit_constant(f"{node.output}:transposed", weight.T))


def _resize(draft: Draft, node: OnnxNode) -> None:
    mode = tuple(node.attributes.get(key) for key in ("mode", "coordinate_transformation_mode", "nearest_mode"))
    scales = draft.constant(node, 2).reshape(-1).tolist() if len(node.inputs) == 3 else []
    factor = int(scales[-1]) if scales else 0
    known = (b"nearest", b"asymmetric", b"floor"), [1, 1, factor, factor]
    _refuse_if((mode, scales) != known, node, "only whole factors, nearest, asymmetric, floor, are read")
    draft.emit(node.output, "upsample_nearest", node.inputs[0], factor=factor)


def _split(draft: Draft, node: OnnxNode) -> None:
    lengths = node.attributes["split"] if "split" in node.attributes else draft.constant(node, 1).tolist()
    start = 0
    for name, length in zip(node.outputs, lengths, strict=True):
        draft.emit(name, "narrow", node.inputs[0], dim=node.attributes.get("axis", 0), start=start, length=length)
        start += length


def _slice(draft: Draft, node: OnnxNode) -> None:
    start, end, axis = (int(draft.constant(node, index).item()) for index in (1, 2, 3))
    step = int(draft.constant(node, 4).item()) if len(node.inputs) > 4 else 1
    front = 0 <= start < end and step == 1
    _refuse_if(not front, node, f"only [start:end] from the front is read, not [{start}:{end}:{step}]")
    draft.emit(node.output, "narrow", node.inputs[0], dim=axis, start=start, length=end - start)


def _single_axis(op: str, draft: Draft, node: OnnxNode) -> None:
    axes = node.attributes["axes"] if "axes" in node.attributes else draft.constant(node, 1).tolist()
    _refuse_if(len(axes) != 1, node, f"one axis is read at a time, not {axes}")
    draft.emit(node.output, op, node.inputs[0], dim=axes[0])


def _reshape(draft: Draft, node: OnnxNode) -> None:
    sizes = _sizes_of(draft, node.inputs[1])
    shape = [draft.emit_size(node.inputs[0], dim) if size == 0 else size for dim, size in enumerate(sizes)]
    draft.emit(node.output, "reshape", node.inputs[0], shape=shape)


READERS: Mapping[str, Callable[[Draft, OnnxNode], object]] = {
    "Add": partial(_commutative, "add"),
    "AveragePool": partial(_pool, "avg_pool2d", "pad_zero"),
    "Clip": partial(_plain, "clamp"),
    "Concat": partial(_plain, "concat", dim="axis"),
    "Conv": partial(_convolution, "conv2d"),
    "ConvTranspose": partial(_convolution, "conv_transpose2d"),
    "Div": partial(_inverse, "divide", "multiply"),
    "Erf": partial(_plain, "erf"),
    "GlobalAveragePool": _mean,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": partial(_plain, "hardswish"),
    "MatMul": _matmul,
    "MaxPool": partial(_pool, "max_pool2d", "pad_lowest"),
    "Mul": partial(_commutative, "multiply"),
    "Pad": _pad_before,
    "Pow": partial(_plain, "power"),
    "ReduceMean": _mean,
    "Relu": partial(_plain, "relu"),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": partial(_plain, "sigmoid"),
    "Slice": _slice,
    # Before opset 13 an axis other than the last means several dimensions at once; the five networks only use the last,
    # which the check of the outputs confirms.
    "Softmax": partial(_plain, "softmax", dim="axis"),
    "Split": _split,
    "Sqrt": partial(_plain, "sqrt"),
    "Squeeze": partial(_single_axis, "squeeze"),
    "Sub": partial(_inverse, "subtract", "add"),
    "Transpose": partial(_plain, "permute", dims="perm"),
    "Unsqueeze": partial(_single_axis, "unsqueeze"),
}


def _is_about_sizes(draft: Draft, node: OnnxNode) -> bool:
    """Whether a node computes sizes, not pixels: it takes a shape, or what was made of one."""
    considered = node.inputs if node.op == "Concat" else node.inputs[:1]
    return node.op == "Shape" or any(name in draft.sizes for name in considered)


def _sizes_of(draft: Draft, name: str) -> list[Size]:
    """A value that is used as a shape, one size at a time."""
    if name in draft.constants:
        return [int(value) for value in draft.constants[name].reshape(-1)]
    sizes = draft.sizes.get(name)
    if not isinstance(sizes, list):
        raise WeightsError(f"{name!r} is used as a shape, and its sizes are not known one by one")
    return sizes


def _same_sizes(draft: Draft, node: OnnxNode) -> Sizes:
    # Cast, Squeeze, Unsqueeze and Reshape to a scalar change how a list of sizes is stored, not what it says.
    return draft.sizes[node.inputs[0]]


def _slice_sizes(draft: Draft, node: OnnxNode) -> Sizes:
    start, end = (int(draft.constant(node, index).item()) for index in (1, 2))
    shape_of = draft.sizes[node.inputs[0]]
    if not isinstance(shape_of, str) or not 0 <= start < end:
        raise WeightsError(f"{node.op} {node.output!r}: only [start:end] from the front of a whole shape is read")
    return [draft.emit_size(shape_of, dim) for dim in range(start, end)]


SIZE_READERS: Mapping[str, Callable[[Draft, OnnxNode], Sizes]] = {
    "Cast": _same_sizes,
    "Concat": lambda draft, node: [size for name in node.inputs for size in _sizes_of(draft, name)],
    "Reshape": _same_sizes,
    "Shape": lambda _draft, node: node.inputs[0],
    "Slice": _slice_sizes,
    "Squeeze": _same_sizes,
    "Unsqueeze": _same_sizes,
}
