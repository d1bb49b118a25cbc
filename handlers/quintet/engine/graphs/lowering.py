"""A network's graph rewritten for PyTorch: the same function in fewer passes over memory and fewer launches.

What is stored stays as it was converted; this happens when a network is loaded, in float64, rounded once. Each rule
looks at one node and what stands around it, and rewrites the place or leaves it. `quintet models` compares what comes
out with the ONNX source.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from quintet.engine.graphs.graph import Graph, Node

HEAD_MULTIPLE = 8  # fused attention in half precision takes heads of a multiple of so many features
CHANNEL_MULTIPLE = 8  # products of matrices in half precision read 16 bytes at a time
# gelu(8) is 8 to 15 digits, and is exact in every format.
_KEPT_BY_GELU = 8.0
_DENSE = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
_POINTWISE = frozenset({"pointwise", "pointwise_relu"})


def lower(graph: Graph) -> Graph:
    """The graph as it runs in PyTorch: its inputs, its outputs and what they say unchanged but for rounding."""
    rewriting = _Rewriting(graph)
    for rule in RULES:
        for name in list(rewriting.nodes):
            if name in rewriting.nodes:
                rule(rewriting, rewriting.nodes[name])
    return rewriting.finished()


class _Rewriting:
    """A graph under way. A rewritten node keeps its name, so that what takes its value need not change."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.nodes = {node.name: node for node in graph.nodes}
        self.tensors = {name: tensor.double() for name, tensor in graph.tensors.items()}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values that the network returns."""
        return self._graph.outputs

    def made_by(self, name: str, *ops: str) -> Node | None:
        """The node that makes a value, if it is one of these operations."""
        node = self.nodes.get(name)
        return node if node is not None and node.op in ops else None

    def users(self, name: str) -> list[Node]:
        """Nodes that take a value."""
        return [node for node in self.nodes.values() if name in _used_by(node)]

    def only_user(self, name: str) -> Node | None:
        """The one that takes a value, if there is one and the network does not return it."""
        users = self.users(name)
        return users[0] if len(users) == 1 and name not in self.outputs else None

    def put(self, name: str, op: str, inputs: Sequence[str], attributes: Any = None) -> None:  # noqa: ANN401 - JSON's
        """Rewrite a node in its place."""
        self.nodes[name] = Node(name, op, tuple(inputs), attributes or {})

    def tensor(self, name: str, value: Tensor) -> str:
        """Add a tensor under a name that is free; returns that."""
        while name in self.tensors:
            name += "_"
        self.tensors[name] = value
        return name

    def finished(self) -> Graph:
        """What the outputs need, rounded to single precision."""
        needed = set(self._graph.outputs)
        for node in reversed(self.nodes.values()):
            if node.name in needed:
                needed.update(_used_by(node))
        nodes = tuple(node for node in self.nodes.values() if node.name in needed)
        tensors = {name: tensor.float() for name, tensor in self.tensors.items() if name in needed}
        return Graph(self._graph.inputs, nodes, self._graph.outputs, tensors)


def _used_by(node: Node) -> set[str]:
    sizes = (value for value in node.attributes.values() if isinstance(value, Sequence))
    return {*node.inputs, *(item for value in sizes for item in value if isinstance(item, str))}


def _values(node: Node, attribute: str) -> list[Any]:
    """An attribute that is several numbers, or sizes."""
    values = node.attributes[attribute]
    return list(values) if isinstance(values, Sequence) else [values]


def pad_within_convolution(rewriting: _Rewriting, node: Node) -> None:
    """Zeros on one side before a convolution: it pads both sides, its kernel is zero where it must not look."""
    pad = rewriting.made_by(node.inputs[0], "pad_zero") if node.op == "conv2d" else None
    if pad is None or len(_values(pad, "amounts")) != 4:
        return
    if node.attributes["padding"] != [0, 0] or node.attributes["dilation"] != [1, 1]:
        return
    left, right, top, bottom = _values(pad, "amounts")
    padding = [max(top, bottom), max(left, right)]
    around = [padding[1] - left, padding[1] - right, padding[0] - top, padding[0] - bottom]
    weight = torch.nn.functional.pad(rewriting.tensors[node.inputs[1]], around)
    inputs = (pad.inputs[0], rewriting.tensor(node.inputs[1], weight), *node.inputs[2:])
    rewriting.put(node.name, "conv2d", inputs, {**node.attributes, "padding": padding})


def pool_beside(rewriting: _Rewriting, node: Node) -> None:
    """The largest of 2x2 pixels, padded at the right and at the bottom, and other channels beside it."""
    pool = rewriting.made_by(node.inputs[0], "max_pool2d") if node.op == "concat" else None
    pad = rewriting.made_by(pool.inputs[0], "pad_lowest") if pool is not None else None
    ahead = {"kernel_size": [2, 2], "stride": [1, 1], "padding": [0, 0]}
    if pad is None or pool is None or pad.attributes["amounts"] != [0, 1, 0, 1] or pool.attributes != ahead:
        return
    if node.attributes["dim"] == 1 and len(node.inputs) == 2 and rewriting.only_user(pool.name) is not None:
        rewriting.put(node.name, "largest_ahead_beside", (*pad.inputs, node.inputs[1]))


def convolution_as_matrices(rewriting: _Rewriting, node: Node) -> None:
    """A 1x1 convolution."""
    if node.op == "conv2d" and node.attributes == _DENSE and rewriting.tensors[node.inputs[1]].shape[2:] == (1, 1):
        weight = rewriting.tensor(node.inputs[1], rewriting.tensors[node.inputs[1]].flatten(1))
        rewriting.put(node.name, "pointwise", (node.inputs[0], weight, *node.inputs[2:]))


def relu_within(rewriting: _Rewriting, node: Node) -> None:
    """ReLU after a layer with bias that nothing else takes; not a depthwise one, for which cuDNN has no such kernel."""
    layer = rewriting.made_by(node.inputs[0], "pointwise", "conv2d") if node.op == "relu" else None
    if layer is None or len(layer.inputs) != 3 or rewriting.only_user(layer.name) is None:
        return
    if layer.attributes.get("groups", 1) == 1:
        rewriting.put(node.name, f"{layer.op}_relu", layer.inputs, layer.attributes)
        del rewriting.nodes[layer.name]


def sum_with_own_product(rewriting: _Rewriting, node: Node) -> None:
    """Write x + x · s, s one number a channel, as x · (s + 1)."""
    if node.op != "add":
        return
    x, product = node.inputs[0], rewriting.made_by(node.inputs[1], "multiply")
    if product is None or product.inputs[0] != x or rewriting.only_user(product.name) is None:
        return
    if rewriting.made_by(product.inputs[1], "hardsigmoid"):
        rewriting.put(product.name, "add_scalar", product.inputs[1:], {"y": 1.0})
        rewriting.put(node.name, "multiply", (x, product.name))


def sum_with_upsampled(rewriting: _Rewriting, node: Node) -> None:
    """A sum with a map that is made larger for it alone."""
    larger = rewriting.made_by(node.inputs[1], "upsample_nearest") if node.op == "add" else None
    if larger is not None and rewriting.only_user(larger.name) is not None:
        rewriting.put(node.name, "add_upsampled", (node.inputs[0], *larger.inputs), larger.attributes)
        del rewriting.nodes[larger.name]


def bias_moved_on(rewriting: _Rewriting, node: Node) -> None:
    """A convolution's bias, a pass of its own on CUDA, into what takes its output, where all of that can have it."""
    if node.op != "conv2d" or len(node.inputs) != 3 or node.name in rewriting.outputs:
        return
    bias = rewriting.tensors[node.inputs[2]]
    moves = [move for user in rewriting.users(node.name) for move in _moves(rewriting, node.name, user)]
    if not moves or None in moves:
        return
    for move in moves:
        if move is not None:
            move(bias)
    rewriting.put(node.name, "conv2d", node.inputs[:2], node.attributes)


Move = Callable[[Tensor], None]


def _moves(rewriting: _Rewriting, name: str, user: Node) -> list[Move | None]:
    """What puts a number a channel, to be added to a value, into what takes that; None where nothing does."""
    if user.op in _POINTWISE:
        return [lambda bias: _add_to_bias(rewriting, user, rewriting.tensors[user.inputs[1]] @ bias)]
    if user.op == "mean" and user.attributes["dim"] == [2, 3] and user.name not in rewriting.outputs:
        # The mean of x + b is that of x, plus b.
        return [move for taker in rewriting.users(user.name) for move in _moves_of_mean(rewriting, taker)]
    if user.op == "multiply" and user.inputs[0] == name and rewriting.made_by(user.inputs[1], "hardsigmoid"):
        return [lambda bias: _shift(rewriting, user, bias)]
    if user.op == "add":
        (other,) = [item for item in user.inputs if item != name] or [name]
        layer = rewriting.made_by(other, "pointwise")
        if layer is not None and rewriting.only_user(other) is not None:
            return [lambda bias: _add_to_bias(rewriting, layer, bias)]
    return [None]


def _moves_of_mean(rewriting: _Rewriting, taker: Node) -> list[Move | None]:
    return _moves(rewriting, "", taker) if taker.op in _POINTWISE else [None]


def _add_to_bias(rewriting: _Rewriting, layer: Node, more: Tensor) -> None:
    layer = rewriting.nodes[layer.name]  # as an earlier move has left it
    bias = rewriting.tensors[layer.inputs[2]] + more if len(layer.inputs) == 3 else more
    name = rewriting.tensor(f"{layer.name}_bias", bias)
    rewriting.put(layer.name, layer.op, (*layer.inputs[:2], name), layer.attributes)


def _shift(rewriting: _Rewriting, product: Node, bias: Tensor) -> None:
    rewriting.put(product.name, "scale_shifted", (*product.inputs, rewriting.tensor(f"{product.name}_shift", bias)))


def sum_in_place(rewriting: _Rewriting, node: Node) -> None:
    """Add w₂ · gelu(w₁ · x + b₁) + b₂ to x in x's memory, by a product of matrices that can add but has no bias then.

    So b₂ comes from one more channel between the two, which is 1, by a weight of zero and a bias that GELU keeps.
    """
    if node.op != "add" or len(set(node.inputs)) != 2:
        return
    x, second = node.inputs[0], rewriting.made_by(node.inputs[1], "pointwise")
    gelu = rewriting.made_by(second.inputs[0], "gelu") if second is not None else None
    first = rewriting.made_by(gelu.inputs[0], "pointwise") if gelu is not None else None
    if second is None or gelu is None or first is None or len(first.inputs) != 3 or len(second.inputs) != 3:
        return
    # x is nobody's but theirs and, made anew by its node, shares no memory.
    own = rewriting.made_by(x, "conv2d", "scale_shifted") and rewriting.users(x) == [first, node]
    if not own or x in rewriting.outputs or None in (rewriting.only_user(n.name) for n in (first, gelu, second)):
        return
    weight, bias = (rewriting.tensors[name] for name in first.inputs[1:])
    outer, offset = (rewriting.tensors[name] for name in second.inputs[1:])
    more = torch.zeros(CHANNEL_MULTIPLE, dtype=weight.dtype)
    more[0] = _KEPT_BY_GELU
    columns = torch.outer(offset / _KEPT_BY_GELU, more / _KEPT_BY_GELU)
    rows = torch.cat([weight, more[:, None] * torch.zeros_like(weight[:1])])
    names = rewriting.tensor(first.inputs[1], rows), rewriting.tensor(first.inputs[2], torch.cat([bias, more]))
    rewriting.put(first.name, "pointwise", (first.inputs[0], *names))
    weight_name = rewriting.tensor(second.inputs[1], torch.cat([outer, columns], 1))
    rewriting.put(node.name, "add_pointwise_", (x, gelu.name, weight_name))
    del rewriting.nodes[second.name]


def heads_in_eights(rewriting: _Rewriting, node: Node) -> None:
    """Attention's heads filled up with zeros to a multiple of 8 features, in the layers before and after it."""
    places = _around_attention(rewriting, node) if node.op == "attention" else None
    if places is None:
        return
    before, split, joined, after = places
    three, heads, features = _values(split, "shape")[2:]
    more = -features % HEAD_MULTIPLE
    if not more:
        return
    weight, bias = (rewriting.tensors[item].unflatten(0, (three, heads, features)) for item in before.inputs[1:])
    outer = rewriting.tensors[after.inputs[1]].unflatten(1, (heads, features))
    pad = torch.nn.functional.pad
    tensors = (pad(weight, (0, 0, 0, more)).flatten(0, 2), pad(bias, (0, more)).flatten(), pad(outer, (0, more)))
    weight_name, bias_name = (rewriting.tensor(*pair) for pair in zip(before.inputs[1:], tensors, strict=False))
    rewriting.put(before.name, "linear", (before.inputs[0], weight_name, bias_name))
    split_shape, joined_shape = _values(split, "shape"), _values(joined, "shape")
    split_shape[-1], joined_shape[-1] = features + more, heads * (features + more)
    rewriting.put(split.name, "reshape", split.inputs, {"shape": split_shape})
    rewriting.put(joined.name, "reshape", joined.inputs, {"shape": joined_shape})
    outer_name = rewriting.tensor(after.inputs[1], tensors[2].flatten(1))
    rewriting.put(after.name, "linear", (after.inputs[0], outer_name, *after.inputs[2:]))


def _around_attention(rewriting: _Rewriting, node: Node) -> tuple[Node, Node, Node, Node] | None:
    """The layer before, the reshape that splits that, the one that joins heads, and the layer after; None if not so."""
    parts = [rewriting.made_by(name, "select") for name in node.inputs]
    turned = {part.inputs[0] for part in parts if part is not None}
    turn = rewriting.made_by(turned.pop(), "permute") if None not in parts and len(turned) == 1 else None
    split = rewriting.made_by(turn.inputs[0], "reshape") if turn is not None else None
    before = rewriting.made_by(split.inputs[0], "linear") if split is not None else None
    turned_back = rewriting.only_user(node.name)
    joined = _taker(rewriting, turned_back, "reshape") if turned_back is not None else None
    after = _taker(rewriting, joined, "linear") if joined is not None else None
    if split is None or before is None or joined is None or after is None:
        return None
    whole = len(_values(split, "shape")) == 5 and len(before.inputs) == 3
    return (before, split, joined, after) if whole else None


def _taker(rewriting: _Rewriting, node: Node, op: str) -> Node | None:
    """What computes with a node's output, if that is one of an operation; sizes may be looked at."""
    takers = [user for user in rewriting.users(node.name) if user.op != "size"]
    return takers[0] if len(takers) == 1 and takers[0].op == op else None


Rule = Callable[[_Rewriting, Node], None]
# In this order: a rule finds what those before it have left.
RULES: tuple[Rule, ...] = (
    pad_within_convolution,
    pool_beside,
    convolution_as_matrices,
    relu_within,
    sum_with_own_product,
    sum_with_upsampled,
    bias_moved_on,
    sum_in_place,
    heads_in_eights,
)
