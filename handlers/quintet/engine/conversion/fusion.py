"""Elementary operations put back together: affine steps into weights, and the patterns exporters take apart.

One pass in running order. Each rule looks at a node and at what made its inputs, and answers with a node that says the
same in fewer steps, with the name of a value the node only repeats, or with None. A node keeps its name when it is
rewritten; what nothing uses any more is left out at the end. Constants are float64 until then, and rounded once.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch

from quintet.engine.conversion.draft import Array, Draft
from quintet.engine.graph import Attribute, Graph, Node

WEIGHTED = frozenset({"conv2d", "conv_transpose2d", "linear"})


class Fusion:
    """A draft on its way to a graph."""

    def __init__(self, draft: Draft) -> None:
        self.constants: dict[str, Array] = dict(draft.constants)  # those made on the way included
        self.made: dict[str, Node] = {}  # nodes rewritten so far, in running order
        # How many nodes of the draft, and outputs, take a value.
        self.uses = Counter(name for node in draft.nodes.values() for name in used_by(node))
        self.uses.update(draft.outputs)

    def made_by(self, name: str, op: str) -> Node | None:
        """The node that made a value, when it is such an operation."""
        node = self.made.get(name)
        return node if node is not None and node.op == op else None

    def scalar(self, node: Node | None) -> float | None:
        """The one number a node adds or multiplies with, if that is what it does."""
        operand = None if node is None else self.constants.get(node.inputs[-1])
        return float(operand.item()) if operand is not None and operand.size == 1 else None


Rule = Callable[[Fusion, Node], Node | str | None]


def fuse(draft: Draft) -> Graph:
    """Turn a draft into a graph of `quintet.engine.graph`'s operations, equal to it up to float32 rounding.

    An elementary operation that was part of no pattern stays in it, and `build_module` refuses it by name.
    """
    fusion = Fusion(draft)
    same: dict[str, str] = {}
    for draft_node in draft.nodes.values():
        node = _renamed(draft_node, same, draft_node.name)
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
    def rename(value: Attribute) -> Attribute:
        if isinstance(value, Sequence):
            return [names.get(item, item) if isinstance(item, str) else item for item in value]
        return value

    inputs = tuple(names.get(item, item) for item in node.inputs)
    return Node(name, node.op, inputs, {key: rename(value) for key, value in node.attributes.items()})


def neutral(fusion: Fusion, node: Node) -> str | None:
    """Recognise x + 0 and x · 1, which say x."""
    return node.inputs[0] if fusion.scalar(node) == {"add": 0.0, "multiply": 1.0}[node.op] else None


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


def hardswish(fusion: Fusion, node: Node) -> Node | None:
    """Recognise x · clamp(x + 3, 0, 6) / 6."""
    product = fusion.made_by(node.inputs[0], "multiply")
    if product is None or not close(fusion.scalar(node), 1 / 6):
        return None
    for source, gate in both_ways(product.inputs):
        clamp = fusion.made_by(gate, "clamp")
        shift = fusion.made_by(clamp.inputs[0], "add") if clamp else None
        limits = tuple(clamp.attributes.values()) if clamp else ()
        if shift and shift.inputs[0] == source and fusion.scalar(shift) == 3 and limits == (0, 6):
            return Node(node.name, "hardswish", (source,), {})
    return None


def gelu(fusion: Fusion, node: Node) -> Node | None:
    """Recognise x · (1 + erf(x / √2)) / 2, the exact form."""
    product = fusion.made_by(node.inputs[0], "multiply")
    if product is None or fusion.scalar(node) != 0.5:
        return None
    for source, gate in both_ways(product.inputs):
        shift = fusion.made_by(gate, "add")
        erf = fusion.made_by(shift.inputs[0], "erf") if shift and fusion.scalar(shift) == 1 else None
        scaled = fusion.made_by(erf.inputs[0], "multiply") if erf else None
        if scaled and scaled.inputs[0] == source and close(fusion.scalar(scaled), math.sqrt(0.5)):
            return Node(node.name, "gelu", (source,), {})
    return None


def silu(fusion: Fusion, node: Node) -> Node | None:
    """Recognise x · sigmoid(x)."""
    for source, gate in both_ways(node.inputs):
        sigmoid = fusion.made_by(gate, "sigmoid")
        if sigmoid and sigmoid.inputs[0] == source:
            return Node(node.name, "silu", (source,), {})
    return None


def layer_norm(fusion: Fusion, node: Node) -> Node | None:
    """Recognise (x - mean) / sqrt(mean((x - mean)²) + eps) · gamma + beta, along the last dimension."""
    scaled = fusion.made_by(node.inputs[0], "multiply")
    ratio = fusion.made_by(scaled.inputs[0], "divide") if scaled else None
    root = fusion.made_by(ratio.inputs[1], "sqrt") if ratio else None
    shifted = fusion.made_by(root.inputs[0], "add") if root else None
    eps = fusion.scalar(shifted)
    if scaled is None or ratio is None or shifted is None or eps is None:
        return None
    gamma, beta = (fusion.constants.get(name) for name in (scaled.inputs[1], node.inputs[1]))
    source = _centred(fusion, ratio.inputs[0], shifted.inputs[0])
    if source is None or gamma is None or beta is None or gamma.ndim != 1 or beta.shape != gamma.shape:
        return None
    inputs = (source, scaled.inputs[1], node.inputs[1])
    return Node(node.name, "layer_norm", inputs, {"normalized_shape": [gamma.size], "eps": eps})


def _centred(fusion: Fusion, centred: str, variance: str) -> str | None:
    """Return x where ``centred`` is x - mean(x) and ``variance`` the mean of its squares, both along the last."""
    along_last = {"dim": [-1], "keepdim": True}
    spread = fusion.made_by(variance, "mean")
    square = fusion.made_by(spread.inputs[0], "square") if spread and spread.attributes == along_last else None
    difference = fusion.made_by(centred, "subtract") if square and square.inputs[0] == centred else None
    mean = fusion.made_by(difference.inputs[1], "mean") if difference else None
    if difference and mean and mean.attributes == along_last and mean.inputs[0] == difference.inputs[0]:
        return mean.inputs[0]
    return None


def attention(fusion: Fusion, node: Node) -> Node | None:
    """Recognise softmax(scale · q kᵀ) v over (N, heads, T, features); fused, the T by T weights need no memory."""
    weights = fusion.made_by(node.inputs[0], "softmax")
    scores = fusion.made_by(weights.inputs[0], "matmul") if weights and weights.attributes["dim"] in {3, -1} else None
    turned = fusion.made_by(scores.inputs[1], "permute") if scores else None
    if scores is None or turned is None or turned.attributes["dims"] != [0, 1, 3, 2]:
        return None
    scaled = fusion.made_by(scores.inputs[0], "multiply")
    scale = fusion.scalar(scaled)
    query = scores.inputs[0] if scaled is None or scale is None else scaled.inputs[0]
    inputs = (query, turned.inputs[0], node.inputs[1])
    return Node(node.name, "attention", inputs, {"scale": 1.0 if scale is None else scale})


def select(fusion: Fusion, node: Node) -> Node | None:
    """Recognise a slice of length one, squeezed, which is one index."""
    piece = fusion.made_by(node.inputs[0], "narrow")
    if piece is None or piece.attributes["length"] != 1 or piece.attributes["dim"] != node.attributes["dim"]:
        return None
    attributes = {"dim": piece.attributes["dim"], "index": piece.attributes["start"]}
    return Node(node.name, "select", piece.inputs, attributes)


def both_ways(pair: tuple[str, ...]) -> tuple[tuple[str, str], tuple[str, str]]:
    """Two names in both orders."""
    left, right = pair
    return (left, right), (right, left)


def close(value: float | None, target: float) -> bool:
    """Whether a constant is a known one to float32's precision."""
    return value is not None and math.isclose(value, target, rel_tol=1e-6)


RULES: Mapping[str, tuple[Rule, ...]] = {
    "add": (neutral, layer_norm, fold_into_weights),
    "matmul": (attention,),
    "multiply": (neutral, hardswish, gelu, silu, fold_into_weights),
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
        number = fusion.scalar(node) if node.op in {"add", "multiply"} else None
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
