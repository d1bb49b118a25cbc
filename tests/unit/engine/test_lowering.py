"""Graphs as they run in PyTorch: each rewritten place says what it said, in fewer passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from quintet.engine.graphs import fused
from quintet.engine.graphs.graph import Graph, Node, build_module
from quintet.engine.graphs.lowering import lower

CHANNELS = 6
STEP = {"stride": [1, 1], "dilation": [1, 1]}
DENSE = {**STEP, "padding": [0, 0], "groups": 1}
STRIDED = {"stride": [2, 2], "dilation": [1, 1], "padding": [1, 1]}
DEPTHWISE = {**STEP, "padding": [1, 1], "groups": CHANNELS}
SHAPES = {
    "w1": (8, CHANNELS, 1, 1), "b1": (8,), "w2": (CHANNELS, 8, 1, 1), "b2": (CHANNELS,),
    "w3": (CHANNELS, 1, 3, 3), "b3": (CHANNELS,), "w4": (8, CHANNELS, 2, 2), "w5": (8, CHANNELS, 3, 3),
    "wi": (45, 15), "bi": (45,), "wo": (15, 15), "bo": (15,),
}  # fmt: skip
_pad = Node("padded", "pad_zero", ("x",), {"amounts": [0, 1, 0, 1]})
_lowest = Node("lowest", "pad_lowest", ("x",), {"amounts": [0, 1, 0, 1]})
_pool = Node("pool", "max_pool2d", ("lowest",), {"kernel_size": [2, 2], "stride": [1, 1], "padding": [0, 0]})
_depthwise = Node("deep", "conv2d", ("x", "w3", "b3"), DEPTHWISE)
_squeeze = [
    Node("mean", "mean", ("deep",), {"dim": [2, 3], "keepdim": True}),
    Node("fewer", "conv2d", ("mean", "w1", "b1"), DENSE),
    Node("relu", "relu", ("fewer",), {}),
    Node("more", "conv2d", ("relu", "w2", "b2"), DENSE),
    Node("gate", "hardsigmoid", ("more",), {}),
]


def mixed(source: str) -> list[Node]:
    """source + w₂ · gelu(w₁ · source + b₁) + b₂."""
    return [
        Node("wide", "conv2d", (source, "w1", "b1"), DENSE),
        Node("gelu", "gelu", ("wide",), {}),
        Node("narrow", "conv2d", ("gelu", "w2", "b2"), DENSE),
        Node("sum", "add", (source, "narrow"), {}),
    ]


PLACES: dict[str, tuple[list[Node], Sequence[str]]] = {
    "1x1 convolution": ([Node("y", "conv2d", ("x", "w1", "b1"), DENSE)], ["pointwise"]),
    "1x1 convolution with ReLU": (
        [Node("y", "conv2d", ("x", "w1", "b1"), DENSE), Node("z", "relu", ("y",), {})], ["pointwise_relu"]
    ),
    "convolution with ReLU": (
        [Node("y", "conv2d", ("x", "w5", "b1"), {**STRIDED, "groups": 1}), Node("z", "relu", ("y",), {})],
        ["conv2d_relu"],
    ),
    "ReLU after a layer that others take": (
        [
            Node("y", "conv2d", ("x", "w1", "b1"), DENSE), Node("z", "relu", ("y",), {}),
            Node("both", "multiply", ("y", "z"), {}),
        ],
        ["pointwise", "relu", "multiply"],
    ),
    "padding on one side": ([_pad, Node("y", "conv2d", ("padded", "w4", "b1"), DENSE)], ["conv2d"]),
    "pooling beside others": (
        [_lowest, _pool, Node("both", "concat", ("pool", "x"), {"dim": 1})], ["largest_ahead_beside"]
    ),
    "bias before a 1x1 convolution": (
        [_depthwise, Node("y", "conv2d", ("deep", "w1", "b1"), DENSE)], ["conv2d", "pointwise"]
    ),
    "bias before what cannot take it": ([_depthwise, Node("y", "hardswish", ("deep",), {})], ["conv2d", "hardswish"]),
    "squeeze and excite": (
        [_depthwise, *_squeeze, Node("y", "multiply", ("deep", "gate"), {})],
        ["conv2d", "mean", "pointwise_relu", "pointwise", "hardsigmoid", "scale_shifted"],
    ),
    "squeeze and excite beside itself": (
        [
            Node("deep", "conv2d", ("x", "w3"), DEPTHWISE), *_squeeze,
            Node("y", "multiply", ("deep", "gate"), {}), Node("sum", "add", ("deep", "y"), {}),
        ],
        ["conv2d", "mean", "pointwise_relu", "pointwise", "hardsigmoid", "add_scalar", "multiply"],
    ),
    "two layers beside their input": (
        [_depthwise, *mixed("deep")], ["conv2d", "pointwise", "gelu", "add_pointwise_"]
    ),
    "two layers beside an input that others take": (
        [_depthwise, *mixed("deep"), Node("z", "multiply", ("sum", "deep"), {})],
        ["conv2d", "pointwise", "gelu", "pointwise", "add", "multiply"],
    ),
    "two layers beside the network's own input": (mixed("x"), ["pointwise", "gelu", "pointwise", "add"]),
    "sum with a larger map": (
        [
            Node("less", "avg_pool2d", ("x",), {"kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]}),
            Node("larger", "upsample_nearest", ("less",), {"factor": 2}), Node("sum", "add", ("x", "larger"), {}),
        ],
        ["avg_pool2d", "add_upsampled"],
    ),
}  # fmt: skip


def graph_of(nodes: Sequence[Node], inputs: tuple[int | str, ...] = ("N", CHANNELS, "H", "W")) -> Graph:
    generator = torch.Generator().manual_seed(5)
    used = {name for node in nodes for name in node.inputs}
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items() if name in used}
    return Graph({"x": inputs}, tuple(nodes), (nodes[-1].name,), tensors)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("place", PLACES)
def test_a_rewritten_place_says_what_it_said(place: str, layout: torch.memory_format) -> None:
    nodes, expected = PLACES[place]
    graph = graph_of(nodes)
    lowered = lower(graph)
    assert Counter(node.op for node in lowered.nodes) == Counter(expected)
    for shape in ((2, CHANNELS, 4, 8), (1, CHANNELS, 6, 2)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(7)).contiguous(memory_format=layout)
        given = x.clone()
        with torch.inference_mode():
            ours, theirs = build_module(lowered)(x), build_module(graph)(x)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
        assert torch.equal(x, given)


def test_a_bias_that_moves_on_is_no_pass_of_its_own() -> None:
    for place in ("bias before a 1x1 convolution", "squeeze and excite", "two layers beside their input"):
        (layer,) = [node for node in lower(graph_of(PLACES[place][0])).nodes if node.op == "conv2d"]
        assert len(layer.inputs) == 2
    (layer, _) = lower(graph_of(PLACES["bias before what cannot take it"][0])).nodes
    assert len(layer.inputs) == 3


def test_heads_of_attention_are_filled_up_to_eights() -> None:
    split = [Node(f"part{i}", "select", ("turned",), {"dim": 0, "index": i}) for i in range(3)]
    graph = graph_of(
        [
            Node("all", "linear", ("x", "wi", "bi"), {}),
            Node("split", "reshape", ("all",), {"shape": [2, -1, 3, 3, 5]}),
            Node("turned", "permute", ("split",), {"dims": [2, 0, 3, 1, 4]}),
            *split,
            Node("seen", "attention", ("part0", "part1", "part2"), {"scale": 0.4}),
            Node("back", "permute", ("seen",), {"dims": [0, 2, 1, 3]}),
            Node("joined", "reshape", ("back",), {"shape": [2, -1, 15]}),
            Node("y", "linear", ("joined", "wo", "bo"), {}),
        ],
        (2, "T", 15),
    )
    lowered = lower(graph)
    assert {node.name: node.attributes for node in lowered.nodes}["split"] == {"shape": [2, -1, 3, 3, 8]}
    x = torch.randn(2, 7, 15, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(build_module(lowered)(x), build_module(graph)(x), atol=1e-5, rtol=1e-5)


def test_the_largest_by_windows_is_what_pooling_finds() -> None:
    """What CUDA runs, here on the CPU."""
    x, y = torch.randn(2, 3, 5, 4), torch.randn(2, 2, 5, 4)
    x = x.contiguous(memory_format=torch.channels_last)
    made = fused._largest_by_windows(x, y)
    assert torch.equal(made, fused.largest_ahead_beside(x, y))
    assert made.is_contiguous(memory_format=torch.channels_last)
