"""Small ONNX graphs, one for each way in which an import can go wrong, beside ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from quintet.engine.conversion.build import with_shape
from quintet.engine.conversion.fusion import fuse
from quintet.engine.conversion.onnx_import import import_onnx
from quintet.engine.graphs.graph import Graph, build_module
from quintet.errors import WeightsError

RANDOM = np.random.default_rng(7)


def weights(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def model_of(nodes, constants, shape=("N", 4, 6, 10), outputs=("y",), opset=11):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    for output in graph.output:
        output.type.tensor_type.shape.dim.add().dim_param = "N"
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def graph_of(model) -> Graph:
    return fuse(import_onnx(model))


def operations(graph):
    return [node.op for node in graph.nodes]


def assert_same(model, graph, *shapes):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    module = build_module(graph)
    for shape in shapes:
        x = weights(*shape)
        actual = module(torch.from_numpy(x))
        for ours, theirs in zip(
            actual if isinstance(actual, tuple) else (actual,), session.run(None, {"x": x}), strict=True
        ):
            np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)


def test_a_batch_norm_finds_the_channels_of_values_that_are_no_maps():
    constants = {"g": weights(4), "b": weights(4), "m": weights(4), "v": weights(4) ** 2 + 0.1}
    nodes = [
        helper.make_node("Squeeze", ["x"], ["s"], axes=[-2]),
        helper.make_node("BatchNormalization", ["s", "g", "b", "m", "v"], ["y"], epsilon=1e-3),
    ]
    model = model_of(nodes, constants, ("N", 4, 1, 10))
    assert_same(model, graph_of(model), (1, 4, 1, 10), (3, 4, 1, 10))


@pytest.mark.parametrize(
    ("op", "constants"), [("Conv", {"w": weights(3, 4, 2, 2)}), ("MaxPool", {})], ids=["convolution", "pool"]
)
def test_same_upper_pads_right_and_below(op, constants):
    node = helper.make_node(op, ["x", *constants], ["y"], kernel_shape=[2, 2], auto_pad="SAME_UPPER")
    model = model_of([node], constants, shape=("N", 4, "H", "W"))
    graph = graph_of(model)
    assert graph.nodes[0].attributes == {"amounts": [0, 1, 0, 1]}
    assert_same(model, graph, (1, 4, 6, 10), (3, 4, 7, 9))


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("biased", [False, True])
def test_batch_norm_and_trailing_constants_fold_into_a_convolution(op, biased):
    constants = {"w": weights(4, 4, 2, 2), "g": weights(4), "b": weights(4), "m": weights(4), "v": weights(4) ** 2}
    constants |= {
        "factor": weights(1, 4, 1, 1),
        "offset": weights(4, 1, 1),
        "half": np.float32(0.5),
        "bias": weights(4),
    }
    inputs = ["x", "w", "bias"] if biased else ["x", "w"]
    nodes = [
        helper.make_node(op, inputs, ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"], epsilon=1e-3),
        helper.make_node("Mul", ["factor", "n"], ["f"]),
        helper.make_node("Add", ["f", "offset"], ["o"]),
        helper.make_node("Div", ["o", "half"], ["y"]),
    ]
    model = model_of(nodes, constants)
    graph = graph_of(model)
    assert len(graph.nodes) == 1
    assert_same(model, graph, (1, 4, 6, 10), (3, 4, 6, 10))


def test_a_constant_that_varies_along_the_width_is_not_folded():
    constants = {"w": weights(4, 4, 1, 1), "offset": weights(4)}
    convolution = helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1])
    nodes = [convolution, helper.make_node("Add", ["c", "offset"], ["y"])]
    model = model_of(nodes, constants, shape=("N", 4, 6, 4))
    graph = graph_of(model)
    assert operations(graph) == ["conv2d", "add"]
    assert_same(model, graph, (2, 4, 6, 4))


def test_a_convolution_used_twice_keeps_its_own_weights():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1]),
        helper.make_node("Add", ["c", "offset"], ["o"]),
        helper.make_node("Mul", ["c", "o"], ["y"]),
    ]
    model = model_of(nodes, {"w": weights(4, 4, 1, 1), "offset": weights(1, 4, 1, 1)})
    graph = graph_of(model)
    assert operations(graph) == ["conv2d", "add", "multiply"]
    assert_same(model, graph, (2, 4, 6, 10))


def hard_swish():
    constants = {"three": np.float32([3]), "low": np.float32(0), "high": np.float32(6), "six": np.float32([6])}
    nodes = [
        helper.make_node("Add", ["x", "three"], ["a"]),
        helper.make_node("Clip", ["a", "low", "high"], ["c"]),
        helper.make_node("Mul", ["x", "c"], ["m"]),
        helper.make_node("Div", ["m", "six"], ["y"]),
    ]
    return nodes, constants


def gelu():
    constants = {"root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)}
    nodes = [
        helper.make_node("Div", ["x", "root"], ["d"]),
        helper.make_node("Erf", ["d"], ["e"]),
        helper.make_node("Add", ["e", "one"], ["a"]),
        helper.make_node("Mul", ["x", "a"], ["m"]),
        helper.make_node("Mul", ["m", "half"], ["y"]),
    ]
    return nodes, constants


def silu():
    return [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])], {}


def layer_norm():
    constants = {"two": np.float32(2), "eps": np.float32(1e-3), "gamma": weights(10), "beta": weights(10)}
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[-1]),
        helper.make_node("Sub", ["x", "mean"], ["d"]),
        helper.make_node("Pow", ["d", "two"], ["p"]),
        helper.make_node("ReduceMean", ["p"], ["variance"], axes=[-1]),
        helper.make_node("Add", ["variance", "eps"], ["v"]),
        helper.make_node("Sqrt", ["v"], ["s"]),
        helper.make_node("Div", ["d", "s"], ["q"]),
        helper.make_node("Mul", ["q", "gamma"], ["g"]),
        helper.make_node("Add", ["g", "beta"], ["y"]),
    ]
    return nodes, constants


def linear():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
    return nodes, {"w": weights(10, 7), "b": weights(7)}


def attention():
    nodes = [
        helper.make_node("Mul", ["x", "scale"], ["q"]),
        helper.make_node("Add", ["q", "zero"], ["q0"]),
        helper.make_node("Transpose", ["x"], ["k"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["q0", "k"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"], axis=3),
        helper.make_node("MatMul", ["p", "x"], ["y"]),
    ]
    return nodes, {"scale": np.float32([0.3]), "zero": np.float32(0)}


def hard_sigmoid():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1]),
        helper.make_node("HardSigmoid", ["c"], ["y"], alpha=0.2, beta=0.5),
    ]
    return nodes, {"w": weights(4, 4, 1, 1)}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (hard_swish, ["hardswish"]),
        (gelu, ["gelu"]),
        (silu, ["silu"]),
        (layer_norm, ["layer_norm"]),
        (linear, ["linear"]),
        (attention, ["attention"]),
        (hard_sigmoid, ["conv2d", "hardsigmoid"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_pattern_taken_apart_by_the_exporter_is_put_together(pattern, expected):
    model = model_of(*pattern())
    graph = graph_of(model)
    assert operations(graph) == expected
    assert_same(model, graph, (1, 4, 6, 10), (3, 4, 6, 10))


def reshape_to_one_image():
    nodes = [
        helper.make_node("Constant", [], ["shape"], value=numpy_helper.from_array(np.array([1, 4, -1]))),
        helper.make_node("Reshape", ["x", "shape"], ["r"]),
        helper.make_node("Transpose", ["r"], ["y"], perm=[0, 2, 1]),
    ]
    return model_of(nodes, {}, shape=(1, 4, 6, 10))


def test_a_baked_in_batch_of_one_is_freed_and_images_do_not_mix():
    original = reshape_to_one_image()
    images = torch.from_numpy(weights(3, 4, 6, 10))
    assert build_module(graph_of(original))(images).shape == (1, 180, 4)  # the trap: no error, one image made of three
    before = original.SerializeToString()
    patched = with_shape(original, ("N", 4, 6, 10))
    assert original.SerializeToString() == before
    module = build_module(graph_of(patched))
    together = module(images)
    assert together.shape == (3, 60, 4)
    torch.testing.assert_close(together, torch.cat([module(images[i : i + 1]) for i in range(3)]))
    assert_same(patched, graph_of(patched), (1, 4, 6, 10), (3, 4, 6, 10))


def test_a_shape_chain_becomes_sizes_that_stay_symbolic():
    constants = {"0": np.array([0]), "1": np.array([1]), "3": np.array([3]), "4": np.array([4]), "-1": np.array([-1])}
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Cast", ["s"], ["i"], to=TensorProto.INT32),
        helper.make_node("Slice", ["i", "0", "1", "0", "1"], ["n32"]),
        helper.make_node("Cast", ["n32"], ["n"], to=TensorProto.INT64),
        helper.make_node("Slice", ["s", "3", "4", "0"], ["w"]),
        helper.make_node("Squeeze", ["w"], ["ws"], axes=[0]),
        helper.make_node("Unsqueeze", ["ws"], ["wu"], axes=[0]),
        helper.make_node("Concat", ["n", "-1", "wu"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    model = model_of(nodes, constants, shape=("N", 4, 6, "W"))
    graph = graph_of(model)
    assert operations(graph) == ["size", "size", "reshape"]
    assert_same(model, graph, (1, 4, 6, 10), (3, 4, 6, 14))
    batch, width = torch.export.Dim("n"), torch.export.Dim("w")
    exported = torch.export.export(
        build_module(graph), (torch.zeros(2, 4, 6, 10),), dynamic_shapes=({0: batch, 3: width},)
    )
    assert exported.module()(torch.zeros(5, 4, 6, 17)).shape == (5, 24, 17)


def test_identities_slices_splits_and_upsampling_are_followed():
    constants = {"0": np.array([0]), "1": np.array([1]), "s": np.float32([1, 1, 2, 2]), "none": np.float32([])}
    nodes = [
        helper.make_node("Identity", ["x"], ["i"]),
        helper.make_node("Split", ["i"], ["a", "b"], axis=1, split=[1, 3]),
        helper.make_node(
            "Resize",
            ["b", "none", "s"],
            ["up"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        helper.make_node("Slice", ["a", "0", "1", "1"], ["p"]),
        helper.make_node("Squeeze", ["p"], ["y"], axes=[1]),
        helper.make_node("Identity", ["up"], ["z"]),
    ]
    model = model_of(nodes, constants, outputs=("y", "z"))
    graph = graph_of(model)
    assert operations(graph) == ["narrow", "narrow", "upsample_nearest", "select"]
    assert_same(model, graph, (2, 4, 6, 10))


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (helper.make_node("Einsum", ["x"], ["y"], equation="nchw->nc"), r"Einsum \('y'\) has no counterpart"),
        (helper.make_node("Conv", ["x", "x"], ["y"], kernel_shape=[1, 1]), "input 1 must be a constant"),
        (
            helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
            "SAME_UPPER at stride 1 only",
        ),
    ],
    ids=["operator", "computed weight", "strided padding"],
)
def test_what_the_importer_does_not_know_is_refused_by_name(node, reason):
    with pytest.raises(WeightsError, match=reason):
        import_onnx(model_of([node], {}, opset=12))


def test_an_elementary_step_of_no_pattern_is_refused_when_it_is_built():
    with pytest.raises(WeightsError, match="unknown operation 'erf'"):
        build_module(graph_of(model_of([helper.make_node("Erf", ["x"], ["y"])], {})))


def test_a_model_with_two_inputs_is_refused():
    model = model_of([helper.make_node("Add", ["x", "x2"], ["y"])], {})
    model.graph.input.append(helper.make_tensor_value_info("x2", onnx.TensorProto.FLOAT, ("N", 4, 6, 10)))
    with pytest.raises(WeightsError, match="2 inputs, not 1"):
        with_shape(model, ("N", 4, 6, 10))
