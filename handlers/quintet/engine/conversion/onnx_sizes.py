"""Shape chains (Shape → Slice → Concat → Reshape) followed at import, so that no tensor of sizes stays in a network.

Their values are lists of integers and of names of ``size`` nodes: Python numbers when the network runs, symbols when it
is traced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from quintet.engine.conversion.draft import Draft, OnnxNode, Size, Sizes
from quintet.engine.graph import WeightsError


def is_about_sizes(draft: Draft, node: OnnxNode) -> bool:
    """Whether a node computes sizes, not pixels: it takes a shape, or what was made of one."""
    considered = node.inputs if node.op == "Concat" else node.inputs[:1]
    return node.op == "Shape" or any(name in draft.sizes for name in considered)


def read_sizes(draft: Draft, node: OnnxNode) -> None:
    """Follow one node of a shape chain; the result stands in ``draft.sizes``.

    Args:
        draft: the network being read.
        node: a node for which `is_about_sizes` holds.

    Raises:
        WeightsError: the chain has a step that is not known.
    """
    if node.op not in _STEPS:
        raise WeightsError(f"ONNX operator {node.op} ({node.output!r}) is not known on sizes; add it to onnx_sizes.py")
    draft.sizes[node.output] = _STEPS[node.op](draft, node)


def sizes_of(draft: Draft, name: str) -> list[Size]:
    """Return a value that is used as a shape, one size at a time.

    Args:
        draft: the network being read.
        name: a constant of integers, or a value made of sizes.

    Raises:
        WeightsError: it is neither, or it is the whole shape of a value whose rank is not known.
    """
    if name in draft.constants:
        return [int(value) for value in draft.constants[name].reshape(-1)]
    sizes = draft.sizes.get(name)
    if not isinstance(sizes, list):
        raise WeightsError(f"{name!r} is used as a shape, and its sizes are not known one by one")
    return sizes


def _shape(_draft: Draft, node: OnnxNode) -> Sizes:
    return node.inputs[0]


def _unchanged(draft: Draft, node: OnnxNode) -> Sizes:
    # Cast, Squeeze, Unsqueeze and Reshape to a scalar change how a list of sizes is stored, not what it says.
    return draft.sizes[node.inputs[0]]


def _slice(draft: Draft, node: OnnxNode) -> Sizes:
    start, end = (int(draft.constant(node, index).item()) for index in (1, 2))
    sizes = draft.sizes[node.inputs[0]]
    if isinstance(sizes, list):
        return sizes[start:end]
    if not 0 <= start < end:
        raise WeightsError(f"Slice {node.output!r}: of a whole shape, only [start:end] from the front is read")
    return [draft.emit_size(sizes, dim) for dim in range(start, end)]


def _concat(draft: Draft, node: OnnxNode) -> Sizes:
    return [size for name in node.inputs for size in sizes_of(draft, name)]


_STEPS: Mapping[str, Callable[[Draft, OnnxNode], Sizes]] = {
    "Cast": _unchanged,
    "Concat": _concat,
    "Reshape": _unchanged,
    "Shape": _shape,
    "Slice": _slice,
    "Squeeze": _unchanged,
    "Unsqueeze": _unchanged,
}
