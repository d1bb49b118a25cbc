"""Elementary operations put back together: affine steps into weights, and the patterns exporters take apart.

One pass in running order. Each rule looks at a node and at what made its inputs, and answers with a node that says the
same in fewer steps, with the name of a value the node only repeats, or with None. A node keeps its name when it is
rewritten; what nothing uses any more is left out at the end. Constants are float64 until then, and rounded once.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from quintet.engine.conversion.draft import Array, Draft
from quintet.engine.graphs.graph import Graph, Node

WEIGHTED = frozenset({"conv2d", "conv_transpose2d", "linear"})
COMMUTATIVE = frozenset({"add", "multiply"})

# How a value is made: a name for any value, the same value wherever the name occurs; a constant; or an operation,
# attributes that it has, and its operands.
Pattern = str | float | tuple[Any, ...]
ACTIVATIONS: Mapping[str, Pattern] = {
    # x · clamp(x + 3, 0, 6) / 6
    "hardswish": (
        "multiply", {}, ("multiply", {}, "x", ("clamp", {}, ("add", {}, "x", 3.0), 0.0, 6.0)), 1 / 6
    ),
    # x · (1 + erf(x / √2)) / 2, the exact form
    "gelu": (
        "multiply", {}, ("multiply", {}, "x", ("add", {}, ("erf", {}, ("multiply", {}, "x", math.sqrt(0.5))), 1.0)), 0.5
    ),
    "silu": ("multiply", {}, "x", ("sigmoid", {}, "x")),
}  # fmt: skip
_ALONG_LAST = {"dim": [-1], "keepdim": True}
_CENTRED: Pattern = ("subtract", {}, "x", ("mean", _ALONG_LAST, "x"))
_DEVIATION: Pattern = ("sqrt", {}, ("add", {}, ("mean", _ALONG_LAST, ("power", {}, _CENTRED, 2.0)), "eps"))
LAYER_NORM: Pattern = ("add", {}, ("multiply", {}, ("divide", {}, _CENTRED, _DEVIATION), "gamma"), "beta")
_TURNED = ("permute", {"dims": [0, 1, 3, 2]}, "key")
ATTENTION: Pattern = ("matmul", {}, ("softmax", {"dim": 3}, ("matmul", {}, "query", _TURNED)), "value")


class Fusion:
    """A draft on its way to a graph."""

    def __init__(self, draft: Draft) -> None:
        self.constants: dict[str, Array] = dict(draft.constants)  # those made on the way included
        self.made: dict[str, Node] = {}  # nodes rewritten so far, in running order
        # How many nodes of the draft, and outputs, take a value.
        self.uses = Counter(name for node in draft.nodes.values() for name in used_by(node))
        self.uses.update(draft.outputs)

    def number(self, name: str) -> float | None:
        """A constant that is one number."""
        constant = self.constants.get(name)
        return float(constant.item()) if constant is not None and constant.size == 1 else None

    def match(self, name: str, pattern: Pattern, found: Mapping[str, str]) -> Mapping[str, str] | None:
        """What a pattern's names stand for and those found before, where this value was made like that."""
        if isinstance(pattern, str):
            return {**found, pattern: name} if found.get(pattern, name) == name else None
        if isinstance(pattern, float):
            number = self.number(name)
            return found if number is not None and math.isclose(number, pattern, rel_tol=1e-6) else None  # float32's
        op, attributes, *operands = pattern
        node = self.made.get(name)
        if node is None or (node.op, len(node.inputs)) != (op, len(operands)):
            return None
        if not attributes.items() <= node.attributes.items():
            return None
        for inputs in (node.inputs, node.inputs[::-1])[: 1 + (op in COMMUTATIVE)]:
            fits: Mapping[str, str] | None = found
            for value, operand in zip(inputs, operands, strict=True):
                fits = None if fits is None else self.match(value, operand, fits)
            if fits is not None:
                return fits
        return None


Rule = Callable[[Fusion, Node], Node | str | None]


def fuse(draft: Draft) -> Graph:
    """Turn a draft into a graph of `quintet.engine.graphs.graph`'s operations, equal to it up to float32 rounding.

    An elementary operation that was part of no pattern stays in it, and `build_module` refuses it by name.
    """
    fusion = Fusion(draft)
    same: dict[str, str] = {}
    for draft_node in draft.nodes.values():
        fusion.made[draft_node.name] = node = _renamed(draft_node, same, draft_node.name)
        found = next((made for rule in RULES.get(node.op, ()) if (made := rule(fusion, node)) is not None), node)
        if isinstance(found, str):
            same[node.name] = found
        else:
            fusion.made[node.name] = found
    return _finished(fusion, draft.inputs, tuple(same.get(name, name) for name in draft.outputs))


def used_by(node: Node) -> Iterable[str]:
    """The names of the values a node takes, sizes among its attributes included."""
    yield from node.inputs
    for attribute in node.attributes.values():
        if isinstance(attribute, Sequence):
            yield from (item for item in attribute if isinstance(item, str))


def _renamed(node: Node, names: Mapping[str, str], name: str) -> Node:
    attributes = {
        key: [names.get(str(item), item) for item in value] if isinstance(value, Sequence) else value
        for key, value in node.attributes.items()
    }
    return Node(name, node.op, tuple(names.get(item, item) for item in node.inputs), attributes)


def neutral(fusion: Fusion, node: Node) -> str | None:
    """Recognise x + 0 and x · 1, which say x."""
    return node.inputs[0] if fusion.number(node.inputs[1]) == {"add": 0.0, "multiply": 1.0}[node.op] else None


def fold_into_weights(fusion: Fusion, node: Node) -> Node | None:
    """Take a constant for each channel, added to or multiplied with a layer's output, into its weights, in float64."""
    layer, constant = fusion.made.get(node.inputs[0]), fusion.constants.get(node.inputs[1])
    if layer is None or layer.op not in WEIGHTED or constant is None or fusion.uses[layer.name] != 1:
        return None
    weight = fusion.constants[layer.inputs[1]].astype(np.float64)
    transposed, groups = layer.op == "conv_transpose2d", layer.attributes.get("groups", 1)
    channels = weight.shape[1 if transposed else 0]
    values = per_channel(constant, channels, trailing=0 if layer.op == "linear" else 2)
    if values is None or (transposed and groups != 1):
        return None
    bias = fusion.constants[layer.inputs[2]] if len(layer.inputs) == 3 else np.zeros(channels)
    if node.op == "add":
        bias = bias + values
    else:
        bias = bias * values
        weight = weight * values.reshape((1, -1, 1, 1) if transposed else (-1,) + (1,) * (weight.ndim - 1))
    names = (f"{node.name}:weight", f"{node.name}:bias")
    fusion.constants.update(zip(names, (weight, bias), strict=True))
    return Node(node.name, layer.op, (layer.inputs[0], *names), layer.attributes)


def per_channel(constant: Array, channels: int, *, trailing: int) -> Array | None:
    """A constant as one float64 number a channel, (channels,), or None where it varies along something else.

    Behind the channels stand `trailing` dimensions: 2 for maps, 0 for features.
    """
    if constant.size == 1:
        return np.full(channels, constant.item(), dtype=np.float64)
    along = constant.ndim - 1 - trailing
    fits = along >= 0 and constant.shape[along] == constant.size == channels
    return constant.astype(np.float64).reshape(-1) if fits else None


def activation(fusion: Fusion, node: Node) -> Node | None:
    """Recognise one of `ACTIVATIONS`."""
    for op, pattern in ACTIVATIONS.items():
        if found := fusion.match(node.name, pattern, {}):
            return Node(node.name, op, (found["x"],), {})
    return None


def layer_norm(fusion: Fusion, node: Node) -> Node | None:
    """Recognise (x - mean) / sqrt(mean((x - mean)²) + eps) · gamma + beta, along the last dimension."""
    if (found := fusion.match(node.name, LAYER_NORM, {})) is None:
        return None
    eps, gamma, beta = fusion.number(found["eps"]), *(fusion.constants.get(found[name]) for name in ("gamma", "beta"))
    if eps is None or gamma is None or beta is None or gamma.ndim != 1 or beta.shape != gamma.shape:
        return None
    inputs = (found["x"], found["gamma"], found["beta"])
    return Node(node.name, "layer_norm", inputs, {"normalized_shape": [gamma.size], "eps": eps})


def attention(fusion: Fusion, node: Node) -> Node | None:
    """Recognise softmax(scale · q kᵀ) v over (N, heads, T, features); fused, the T by T weights need no memory."""
    if (found := fusion.match(node.name, ATTENTION, {})) is None:
        return None
    scaled = fusion.match(found["query"], ("multiply", {}, "x", "scale"), {})
    scale = fusion.number(scaled["scale"]) if scaled else None
    query = found["query"] if scaled is None or scale is None else scaled["x"]
    inputs = (query, found["key"], found["value"])
    return Node(node.name, "attention", inputs, {"scale": 1.0 if scale is None else scale})


def select(fusion: Fusion, node: Node) -> Node | None:
    """Recognise a slice of length one, squeezed, which is one index."""
    dim = node.attributes["dim"]
    if (found := fusion.match(node.name, ("squeeze", {}, ("narrow", {"dim": dim, "length": 1}, "x")), {})) is None:
        return None
    start = fusion.made[node.inputs[0]].attributes["start"]
    return Node(node.name, "select", (found["x"],), {"dim": dim, "index": start})


RULES: Mapping[str, tuple[Rule, ...]] = {
    "add": (neutral, layer_norm, fold_into_weights),
    "matmul": (attention,),
    "multiply": (neutral, activation, fold_into_weights),
    "squeeze": (select,),
}


def _finished(fusion: Fusion, inputs: Mapping[str, tuple[int | str, ...]], outputs: tuple[str, ...]) -> Graph:
    """Keep what the outputs need, give nodes and tensors readable names, and round constants to float32."""
    needed = set(outputs)
    for node in reversed(fusion.made.values()):
        if node.name in needed:
            needed.update(used_by(node))
    names: dict[str, str] = {}
    nodes: list[Node] = []
    tensors: dict[str, torch.Tensor] = {}
    for node in (node for node in fusion.made.values() if node.name in needed):
        number = fusion.number(node.inputs[1]) if node.op in COMMUTATIVE else None
        if number is not None:
            node = Node(node.name, f"{node.op}_scalar", node.inputs[:1], {"y": number})  # noqa: PLW2901
        names[node.name] = name = f"{node.op}_{len(nodes)}"
        roles = ("weight", "bias") if node.op in WEIGHTED or node.op == "layer_norm" else ("constant",)
        operands = [item for item in node.inputs if item in fusion.constants]
        for operand, role in zip(operands, roles, strict=False):
            value = np.ascontiguousarray(fusion.constants[operand], dtype=np.float32)
            tensors[f"{name}_{role}"] = torch.from_numpy(value.copy())
            names[operand] = f"{name}_{role}"
        nodes.append(_renamed(node, names, name))
    return Graph(inputs, tuple(nodes), tuple(names[name] for name in outputs), tensors)
