"""Networks with some of their classes: what the last layer has for the others is cut off before it ever runs.

A softmax behind it then shares its 1 among fewer.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from quintet.engine.graphs.graph import Graph
from quintet.errors import WeightsError

_NO_CLASSIFIER = "the network does not end in a linear layer with classes, and perhaps a softmax"


def keep_in_graph(graph: Graph, classes: Sequence[int]) -> Graph:
    """A graph whose last linear layer has these classes alone, in this order; WeightsError if it ends in none."""
    nodes = {node.name: node for node in graph.nodes}
    last = nodes[graph.outputs[0]]
    if last.op == "softmax":
        last = nodes[last.inputs[0]]
    if last.op != "linear":
        raise WeightsError(_NO_CLASSIFIER)
    kept = {name: graph.tensors[name][list(classes)] for name in last.inputs[1:]}
    return replace(graph, tensors={**graph.tensors, **kept})


def keep_in_openvino(model: Any, classes: Sequence[int]) -> None:  # noqa: ANN401 - an openvino.Model
    """The same of a model that OpenVINO has read, in place."""
    from openvino.op import Constant  # noqa: PLC0415 - as in `networks`

    def behind(node: Any) -> Any:  # noqa: ANN401
        return node.input_value(0).get_node()

    def keep(operand: Any, axis: int) -> None:  # noqa: ANN401
        held = operand.get_source_output().get_node()
        if held.get_type_name() != "Constant":
            raise WeightsError(_NO_CLASSIFIER)
        operand.replace_source_output(Constant(np.take(held.data, classes, axis)).output(0))

    node = behind(model.output(0).get_node())
    while node.get_type_name() in {"Softmax", "Identity"}:
        node = behind(node)
    if node.get_type_name() == "Add":
        keep(node.input(1), -1)
        node = behind(node)
    if node.get_type_name() != "MatMul":
        raise WeightsError(_NO_CLASSIFIER)
    keep(node.input(1), 0 if node.get_attributes()["transpose_b"] else 1)
    model.validate_nodes_and_infer_types()
