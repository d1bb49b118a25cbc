"""Networks as converters from TensorFlow write them: channels last, padding computed from shapes, idle casts."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from quintet.engine.conversion.channels import channels_first
from quintet.engine.conversion.fusion import fuse
from quintet.engine.conversion.onnx_import import import_onnx
from quintet.errors import WeightsError

from tests.unit.engine.test_onnx_import import assert_same, model_of, operations, weights

NHWC = ("N", 6, 10, 4)
to_first = {"perm": [0, 3, 1, 2]}
to_last = {"perm": [0, 2, 3, 1]}


def graph_of(model):
    return fuse(channels_first(import_onnx(model)))


def layer(source, name):
    """A convolution that is turned before and turned back after, its bias and batch norm behind that."""
    return [
        helper.make_node("Cast", [source], [f"{name}_c"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", [f"{name}_c"], [f"{name}_t"], **to_first),
        helper.make_node("Conv", [f"{name}_t", "w"], [f"{name}_v"], kernel_shape=[1, 1]),
        helper.make_node("Transpose", [f"{name}_v"], [f"{name}_l"], **to_last),
        helper.make_node("Add", [f"{name}_l", "bias"], [f"{name}_a"]),
        helper.make_node("Sub", [f"{name}_a", "mean"], [f"{name}_s"]),
        helper.make_node("Mul", [f"{name}_s", "factor"], [name]),
    ]


CONSTANTS = {"w": weights(4, 4, 1, 1), "bias": weights(4), "mean": weights(1, 4), "factor": weights(4)}


def test_turns_cancel_and_what_stood_between_them_folds_into_the_layers():
    nodes = [
        *layer("x", "first"),
        helper.make_node("Relu", ["first"], ["r"]),
        *layer("r", "second"),
        helper.make_node("Add", ["second", "r"], ["sum"]),
        helper.make_node("ReduceMean", ["sum"], ["y"], axes=[1, 2], keepdims=0),
    ]
    model = model_of(nodes, CONSTANTS, shape=NHWC)
    graph = graph_of(model)
    assert operations(graph) == ["permute", "conv2d", "relu", "conv2d", "add", "mean"]
    assert_same(model, graph, (1, *NHWC[1:]), (3, *NHWC[1:]))


@pytest.mark.parametrize(
    "last",
    [
        helper.make_node("ReduceMean", ["first"], ["y"], axes=[1], keepdims=0),
        helper.make_node("ReduceMean", ["first"], ["y"], axes=[3], keepdims=1),
        helper.make_node("Concat", ["first", "x"], ["y"], axis=3),
        helper.make_node("Mul", ["first", "x"], ["y"]),
        helper.make_node("Transpose", ["first"], ["y"], perm=[0, 2, 1, 3]),
    ],
    ids=["mean that swaps axes", "mean that keeps axes", "concat", "product with an unturned map", "another turn"],
)
def test_a_turn_that_cannot_be_spared_is_made_where_it_is_needed(last):
    model = model_of([*layer("x", "first"), last], CONSTANTS, shape=NHWC)
    graph = graph_of(model)
    assert operations(graph)[:2] == ["permute", "conv2d"]
    assert_same(model, graph, (2, *NHWC[1:]))


def padded_by_its_size(mode, index):
    """A map padded below by half of one of its sizes."""
    constants = {"dim": np.array(index), "two": np.array(2), "zero": np.array([0]), "zeros": np.zeros(6, np.int64)}
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "dim"], ["size"], axis=0),
        helper.make_node("Div", ["size", "two"], ["half"]),
        helper.make_node("Unsqueeze", ["half", "zero"], ["halves"]),
        helper.make_node("Concat", ["zeros", "halves", "zero"], ["pads"], axis=0),
        helper.make_node("Pad", ["x", "pads"], ["y"], mode=mode),
    ]
    return model_of(nodes, constants, opset=17)


@pytest.mark.parametrize(("mode", "op"), [("constant", "pad_zero"), ("edge", "pad_edge")])
def test_padding_computed_from_a_size_that_cannot_vary_is_a_number(mode, op):
    model = padded_by_its_size(mode, 2)
    graph = graph_of(model)
    assert [(node.op, node.attributes) for node in graph.nodes] == [(op, {"amounts": [0, 0, 0, 3]})]
    assert_same(model, graph, (1, 4, 6, 10), (3, 4, 6, 10))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (padded_by_its_size("constant", 0), "Gather of sizes .'size'. has no counterpart"),
        (padded_by_its_size("reflect", 2), "Pad 'y': only zeros"),
        (model_of([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT32)], {}), "operator Cast"),
        (model_of([helper.make_node("Nothing", ["x"], ["y"])], {}), "operator Nothing"),
        (model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weights(3, 3)}), "MatMul 'y' does not fit"),
    ],
    ids=["size that varies", "reflection", "cast to whole numbers", "unknown operator", "wrong shapes"],
)  # fmt: skip
def test_what_is_not_known_is_refused_by_name(model, reason):
    with pytest.raises(WeightsError, match=reason):
        graph_of(model)
