"""One network as a flat list of operations, stored as JSON beside its tensors, built into an ``fx.GraphModule``.

The format (``quintet.graph/1``) holds no code: every operation is a name from `OPERATORS` below. One node:

    {"name": "conv2d_3", "op": "conv2d", "inputs": ["relu_2", "conv2d_3_weight", "conv2d_3_bias"],
     "attributes": {"stride": [2, 2], "padding": [1, 1], "dilation": [1, 1], "groups": 1}}

An input is the name of the network's input, of an earlier node or of a tensor. A string inside an attribute names an
earlier ``size`` node: sizes are Python integers when the network runs and symbols when it is traced, so that neither
torch.export nor torch.compile nor a CUDA graph ever waits for the device or sees a shape baked in.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name for it)
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, fx, nn

from quintet.engine.graphs import fused
from quintet.errors import WeightsError

FORMAT = "quintet.graph/1"

Attribute = int | float | Sequence[int | str]


@dataclass(frozen=True)
class Node:
    """One operation: where its inputs come from and how it is set."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True)
class Graph:
    """A network: nodes in the order they run, and its tensors (float32) by name."""

    inputs: Mapping[str, tuple[int | str, ...]]  # shapes; a string, such as "N", is a dimension that may vary
    nodes: tuple[Node, ...]  # each uses only inputs, tensors and nodes before it
    outputs: tuple[str, ...]  # names of the nodes the network returns
    tensors: Mapping[str, Tensor]  # weights, by the name under which nodes take them


class Operator(NamedTuple):
    """What a node's name stands for."""

    function: Callable[..., Any]
    attributes: tuple[str, ...] = ()  # those it must have
    arity: tuple[int, ...] = (1,)  # numbers of inputs it takes


def _add(x: Tensor, y: Tensor | float) -> Tensor:
    return x + y


def _multiply(x: Tensor, y: Tensor | float) -> Tensor:
    return x * y


def _concat(*tensors: Tensor, dim: int) -> Tensor:
    return torch.cat(tensors, dim)


def _pad_zero(x: Tensor, amounts: list[int]) -> Tensor:
    return F.pad(x, amounts)


def _pad_edge(x: Tensor, amounts: list[int]) -> Tensor:
    return F.pad(x, amounts, mode="replicate")


def _pad_lowest(x: Tensor, amounts: list[int]) -> Tensor:
    # JSON has no infinity, hence an operation of its own.
    return F.pad(x, amounts, value=float("-inf"))


def _upsample_nearest(x: Tensor, factor: int) -> Tensor:
    # Sizes rather than scale_factor: a product of integers stays exact when height and width are symbols.
    return F.interpolate(x, size=(x.size(2) * factor, x.size(3) * factor), mode="nearest")


_CONVOLUTION = ("stride", "padding", "dilation", "groups")
_WEIGHTED = (2, 3)  # input and weight, and perhaps a bias
OPERATORS: Mapping[str, Operator] = {
    "add": Operator(_add, arity=(2,)),
    "add_scalar": Operator(_add, ("y",)),
    "add_pointwise_": Operator(fused.add_pointwise_, arity=(3,)),
    "add_upsampled": Operator(fused.add_upsampled, ("factor",), (2,)),
    "attention": Operator(F.scaled_dot_product_attention, ("scale",), (3,)),
    "avg_pool2d": Operator(F.avg_pool2d, ("kernel_size", "stride", "padding")),
    "concat": Operator(_concat, ("dim",), tuple(range(1, 17))),
    "conv2d": Operator(F.conv2d, _CONVOLUTION, _WEIGHTED),
    "conv2d_relu": Operator(fused.conv2d_relu, _CONVOLUTION, (3,)),
    "conv_transpose2d": Operator(F.conv_transpose2d, _CONVOLUTION, _WEIGHTED),
    "gelu": Operator(F.gelu),
    "hardsigmoid": Operator(F.hardsigmoid),
    "hardswish": Operator(F.hardswish),
    "largest_ahead_beside": Operator(fused.largest_ahead_beside, arity=(2,)),
    "layer_norm": Operator(F.layer_norm, ("normalized_shape", "eps"), (3,)),
    "linear": Operator(F.linear, arity=_WEIGHTED),
    "matmul": Operator(torch.matmul, arity=(2,)),
    "max_pool2d": Operator(F.max_pool2d, ("kernel_size", "stride", "padding")),
    "mean": Operator(torch.mean, ("dim", "keepdim")),
    "multiply": Operator(_multiply, arity=(2,)),
    "multiply_scalar": Operator(_multiply, ("y",)),
    "narrow": Operator(torch.narrow, ("dim", "start", "length")),
    "pad_edge": Operator(_pad_edge, ("amounts",)),
    "pad_lowest": Operator(_pad_lowest, ("amounts",)),
    "pad_zero": Operator(_pad_zero, ("amounts",)),
    "permute": Operator(torch.permute, ("dims",)),
    "pointwise": Operator(fused.pointwise, arity=_WEIGHTED),
    "pointwise_relu": Operator(fused.pointwise_relu, arity=(3,)),
    "relu": Operator(F.relu),
    "reshape": Operator(torch.reshape, ("shape",)),
    "scale_shifted": Operator(fused.scale_shifted, arity=(3,)),
    "select": Operator(torch.select, ("dim", "index")),
    "sigmoid": Operator(torch.sigmoid),
    "silu": Operator(F.silu),
    "size": Operator(Tensor.size, ("dim",)),
    "softmax": Operator(torch.softmax, ("dim",)),
    "squeeze": Operator(torch.squeeze, ("dim",)),
    "unsqueeze": Operator(torch.unsqueeze, ("dim",)),
    "upsample_nearest": Operator(_upsample_nearest, ("factor",)),
}


def build_module(graph: Graph) -> fx.GraphModule:
    """Build the network: eval mode, float32 parameters that need no gradient, moved and cast with ``.to`` as usual.

    It takes the graph's inputs in order and returns one tensor, or a tuple where there are several.

    Raises:
        WeightsError: an operation is unknown or wrongly set, a name is undefined or taken twice, a tensor is unused.
    """
    root = nn.Module()
    for name, tensor in graph.tensors.items():
        root.register_parameter(name, nn.Parameter(tensor, requires_grad=False))
    built = fx.Graph()
    values: dict[str, fx.Node] = {name: built.placeholder(name) for name in graph.inputs}
    # Parameters stand first, so that the operations below read without interruption.
    values.update({name: built.get_attr(name) for name in graph.tensors})
    for node in graph.nodes:
        if node.name in values:
            raise WeightsError(f"two values of the network are called {node.name!r}; run `quintet models` again")
        values[node.name] = _call(built, node, values)
    outputs = tuple(_value(name, values, "the outputs") for name in graph.outputs)
    built.output(outputs if len(outputs) > 1 else outputs[0])
    unused = sorted(name for name in graph.tensors if not values[name].users)
    if unused:
        raise WeightsError(f"no node uses the tensors {unused[:5]}; run `quintet models` again")
    return fx.GraphModule(root, built).eval()


def _call(built: fx.Graph, node: Node, values: Mapping[str, fx.Node]) -> fx.Node:
    operator = OPERATORS.get(node.op)
    if operator is None:
        raise WeightsError(f"node {node.name!r} has the unknown operation {node.op!r}; run `quintet models` again")
    if len(node.inputs) not in operator.arity or set(node.attributes) != set(operator.attributes):
        raise WeightsError(
            f"node {node.name!r}: {node.op} takes {operator.arity} inputs and {operator.attributes}, "
            f"not {len(node.inputs)} and {tuple(node.attributes)}; run `quintet models` again"
        )
    inputs = tuple(_value(name, values, node.name) for name in node.inputs)
    attributes: dict[str, Any] = {
        key: [_value(item, values, node.name) if isinstance(item, str) else item for item in value]
        if isinstance(value, Sequence)
        else value
        for key, value in node.attributes.items()
    }
    if node.op == "layer_norm":  # takes its shape before its weights; every other function takes the inputs first
        by_keyword = dict(zip(("input", "weight", "bias"), inputs, strict=True))
        return built.call_function(operator.function, (), by_keyword | attributes)
    return built.call_function(operator.function, inputs, attributes)


def _value(name: str, values: Mapping[str, fx.Node], user: str) -> fx.Node:
    if name not in values:
        raise WeightsError(f"{user} uses {name!r}, which nothing before it defines; run `quintet models` again")
    return values[name]


def save_graph(graph: Graph, json_path: Path, tensors_path: Path) -> None:
    """Write the structure as JSON, one node a line, and the tensors as safetensors."""
    head = {
        "format": FORMAT,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "tensors": {name: tensor.shape for name, tensor in graph.tensors.items()},
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    body = ",\n".join(f"  {json.dumps(vars(node))}" for node in graph.nodes)
    json_path.write_text("\n".join(["{", *lines, ' "nodes": [', body, " ]", "}"]) + "\n", encoding="utf-8")
    # Not save_file, which makes files that only their owner may read.
    tensors_path.write_bytes(save({name: tensor.contiguous() for name, tensor in graph.tensors.items()}))


def load_graph(json_path: Path, tensors_path: Path) -> Graph:
    """Read a graph and its tensors, which must be exactly those the structure declares: on the CPU, in float32.

    Raises:
        WeightsError: a file is missing or damaged, or a tensor is missing, unused, mis-shaped or not float32.
    """
    try:
        stored = json.loads(json_path.read_text(encoding="utf-8"))
        tensors = load_file(tensors_path)
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(f"cannot read {json_path.name} with its tensors ({error}); run `quintet models`") from error
    if stored.get("format") != FORMAT:
        raise WeightsError(
            f"{json_path.name} has format {stored.get('format')!r}, not {FORMAT!r}; run `quintet models`"
        )
    declared = {name: (tuple(shape), torch.float32) for name, shape in stored["tensors"].items()}
    present = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    wrong = sorted(name for name in declared.keys() | present.keys() if declared.get(name) != present.get(name))
    if wrong:
        details = ", ".join(f"{n}: {present.get(n)} where {declared.get(n)} is declared" for n in wrong[:3])
        raise WeightsError(f"{tensors_path.name} does not fit {json_path.name} ({details}); run `quintet models`")
    return Graph(
        inputs={name: tuple(shape) for name, shape in stored["inputs"].items()},
        nodes=tuple(Node(n["name"], n["op"], tuple(n["inputs"]), n["attributes"]) for n in stored["nodes"]),
        outputs=tuple(stored["outputs"]),
        tensors={name: tensors[name] for name in declared},
    )
