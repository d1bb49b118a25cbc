"""A network half-way between ONNX and our graph: what `onnx_import` writes and `fusion` reads.

The draft speaks the operations of `quintet.engine.graphs.graph`, with constants still as operands, and a few elementary
ones that only make sense as parts of a pattern: clamp, divide, erf, power, sqrt, subtract.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quintet.engine.graphs.graph import Attribute, Node
from quintet.errors import WeightsError

Size = int | str  # a number, or the name of the ``size`` node that gives it
Sizes = list[Size] | str  # sizes one by one, or the name of the value whose whole shape this is
Array = NDArray[Any]


@dataclass(frozen=True)
class OnnxNode:
    """One ONNX node, its inputs followed back through Identity nodes; an absent optional input is ""."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def output(self) -> str:
        """The first output, by which the node is known."""
        return self.outputs[0]


@dataclass
class Draft:
    """A network being read."""

    # Shape of each input; a string is a dimension that may vary.
    inputs: dict[str, tuple[Size, ...]] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)  # in the order they run
    outputs: tuple[str, ...] = ()  # names of the values returned
    constants: dict[str, Array] = field(default_factory=dict)  # every constant met so far, by name
    sizes: dict[str, Sizes] = field(default_factory=dict)  # every value met so far that holds sizes, by name

    def emit(self, name: str, op: str, *inputs: str, **attributes: Attribute) -> str:
        """Add a node and return its name."""
        self.nodes[name] = Node(name, op, inputs, attributes)
        return name

    def emit_constant(self, name: str, value: ArrayLike) -> str:
        """Add a constant and return its name. In float64: weights are folded there and rounded once, at the end."""
        self.constants[name] = np.asarray(value, dtype=np.float64)
        return name

    def emit_size(self, source: str, dim: int) -> str:
        """The node that gives one dimension of a value, made once."""
        name = f"{source}:size{dim}"
        return name if name in self.nodes else self.emit(name, "size", source, dim=dim)

    def has_constant(self, node: OnnxNode, index: int) -> bool:
        """Whether an input is there and constant."""
        return index < len(node.inputs) and node.inputs[index] in self.constants

    def constant(self, node: OnnxNode, index: int) -> Array:
        """An input that must be a constant. WeightsError: it is absent, or computed by the network."""
        if not self.has_constant(node, index):
            raise WeightsError(f"{node.op} {node.output!r}: input {index} must be a constant")
        return self.constants[node.inputs[index]]
