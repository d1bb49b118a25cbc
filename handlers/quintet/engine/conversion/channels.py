"""Networks that keep channels last between their layers, read as if they kept them first, as ours do.

A converter from TensorFlow turns maps before each convolution and back after it. Here a turn back moves down past all
that treats elements alike, until it meets the turn before the next layer, and both are gone: what stood between them
then follows the layer itself, where `fusion` can take it into the weights.
"""

from collections.abc import Sequence

from quintet.engine.conversion.draft import Array, Draft
from quintet.engine.graphs.graph import Node

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
ELEMENTWISE = frozenset({
    "add", "multiply", "subtract", "divide", "power", "clamp", "erf", "sqrt",
    "hardsigmoid", "hardswish", "relu", "sigmoid",
})  # fmt: skip


def channels_first(draft: Draft) -> Draft:
    """The same network, without the turns that can be spared; a draft without any is returned node by node."""
    moving = _Moving(draft)
    for node in draft.nodes.values():
        moving.read(node)
    outputs = tuple(moving.turned(name) for name in draft.outputs)
    return Draft(draft.inputs, moving.nodes, outputs, moving.constants, draft.sizes)


class _Moving:
    """A draft read again in running order, with the turns that are still under way."""

    def __init__(self, draft: Draft) -> None:
        self.nodes: dict[str, Node] = {}
        self.constants = dict(draft.constants)
        self._first: dict[str, str] = {}  # values with channels last, by name: the same with channels first
        self._same: dict[str, str] = {}  # values that are turned there and back, by name: what they are

    def read(self, node: Node) -> None:
        """Add a node, or what takes its place."""
        inputs = tuple(self._same.get(name, name) for name in node.inputs)
        moved = [self._first[name] for name in inputs if name in self._first]
        if node.op == "permute" and not moved and _dims(node) == TO_LAST:
            self._first[node.name] = inputs[0]
        elif node.op == "permute" and moved and _dims(node) == TO_FIRST:
            self._same[node.name] = moved[0]
        elif node.op in ELEMENTWISE and moved and all(name in self._first or self._fits(name) for name in inputs):
            self._first[node.name] = self._add(node, f"{node.name}:first", [self._as_first(name) for name in inputs])
        elif node.op == "mean" and moved and (dims := _first_dims(node)):
            self.nodes[node.name] = Node(node.name, "mean", (moved[0],), {"dim": dims, "keepdim": False})
        else:
            self._add(node, node.name, [self.turned(name) for name in inputs])

    def turned(self, name: str) -> str:
        """A value under its own name, turned now if its turn is under way."""
        name = self._same.get(name, name)
        if name in self._first and name not in self.nodes:
            self.nodes[name] = Node(name, "permute", (self._first[name],), {"dims": list(TO_LAST)})
        return name

    def _add(self, node: Node, name: str, inputs: Sequence[str]) -> str:
        self.nodes[name] = Node(name, node.op, tuple(inputs), node.attributes)
        return name

    def _fits(self, name: str) -> bool:
        """Whether a value is a constant that can be turned."""
        return name in self.constants and self.constants[name].ndim <= len(TO_LAST)

    def _as_first(self, name: str) -> str:
        """A value with channels first."""
        if name in self._first:
            return self._first[name]
        if self.constants[name].size == 1:
            return name
        self.constants[f"{name}:first"] = _turned(self.constants[name])
        return f"{name}:first"


def _turned(constant: Array) -> Array:
    """A constant that is combined with maps of channels last, for the same maps with channels first."""
    whole = constant.reshape((1,) * (len(TO_LAST) - constant.ndim) + constant.shape)
    return whole.transpose(TO_FIRST)


def _first_dims(mean: Node) -> list[int]:
    """What a mean is over with channels first; none where what it leaves would come in another order."""
    over = [TO_LAST[dim] for dim in _dims(mean, "dim")]
    left = [dim for dim in TO_LAST if dim not in over]
    return over if left == sorted(left) and not mean.attributes["keepdim"] else []


def _dims(node: Node, attribute: str = "dims") -> tuple[int, ...]:
    dims = node.attributes[attribute]
    return tuple(map(int, dims)) if isinstance(dims, Sequence) else (int(dims),)
