"""The five real networks: a batch equals its images one at a time, in every engine, at every shape."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from quintet.engine.graphs.graph import build_module, load_graph
from quintet.pages import weights
from torch.export import Dim

SIZES = {"H": 96, "W": 160}


@pytest.fixture(scope="module")
def store(model_store):
    return weights.networks_in(model_store)


def images(stage, batch, sizes=SIZES):
    shape = weights.SOURCES[weights.STAGES.index(stage)].shape
    generator = torch.Generator().manual_seed(11)
    return torch.randn(batch, *(sizes[dim] if isinstance(dim, str) else dim for dim in shape[1:]), generator=generator)


def outputs_of(network, batch):
    with torch.inference_mode():
        outputs = network(batch)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def test_the_store_is_whole(store):
    provenance = store.verify()
    assert tuple(provenance.networks) == weights.STAGES
    assert max(network.max_abs_error for network in provenance.networks.values()) <= 1e-4


@pytest.mark.parametrize("stage", weights.STAGES)
def test_a_batch_of_three_equals_three_batches_of_one(store, stage):
    network = store.load(stage)
    batch = images(stage, 3)
    alone = [outputs_of(network, batch[i : i + 1]) for i in range(3)]
    for i, together in enumerate(outputs_of(network, batch)):
        torch.testing.assert_close(together, torch.cat([outputs[i] for outputs in alone]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("stage", weights.STAGES)
def test_openvino_reads_the_patched_onnx_and_agrees(store, stage):
    openvino = pytest.importorskip("openvino")
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(store.path(stage, ".onnx"), "CPU", options)
    network = store.load(stage)
    for batch in (images(stage, 1), images(stage, 3, {"H": 64, "W": 192})):
        theirs = compiled(batch.numpy())
        for i, ours in enumerate(outputs_of(network, batch)):
            np.testing.assert_allclose(ours.numpy(), theirs[i], atol=1e-4)


def test_layout_gives_scores_then_distances_at_strides_8_16_32_64(store):
    outputs = outputs_of(store.load("layout"), images("layout", 1))
    anchors = (7600, 1900, 475, 130)
    assert [tuple(output.shape[1:]) for output in outputs] == [*((a, 10) for a in anchors), *((a, 32) for a in anchors)]
    assert all(scores.min() >= 0 and scores.max() <= 1 for scores in outputs[:4])


def test_the_recogniser_has_a_class_for_each_entry_of_the_alphabet(store):
    alphabet = weights.load_alphabet(store)
    (probabilities,) = outputs_of(store.load("recognition"), images("recognition", 2))
    assert len(alphabet) == 18710
    assert probabilities.shape == (2, SIZES["W"] // 8, len(alphabet))
    assert (alphabet[0], alphabet[-1]) == ("", " ")
    assert len(set(alphabet)) == len(alphabet)
    # Single precision over 18,710 classes: 1.4e-5 off without AVX-512, which adds up in another order.
    torch.testing.assert_close(probabilities.sum(2), torch.ones(2, 20), atol=1e-4, rtol=0)


def test_the_recognisers_logits_match_the_original_before_its_softmax(store):
    # Softmax over 18,710 classes hides differences; before it nothing does.
    model = onnx.load(store.path("recognition", ".onnx"))
    (softmax,) = [node for node in model.graph.node if node.output[0] == model.graph.output[0].name]
    model.graph.output[0].name = softmax.input[0]
    model.graph.node.remove(softmax)
    batch = images("recognition", 2)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (theirs,) = session.run(None, {session.get_inputs()[0].name: batch.numpy()})
    graph = load_graph(store.path("recognition", ".json"), store.path("recognition", ".safetensors"))
    *before, last = graph.nodes
    assert last.op == "softmax"
    module = build_module(dataclasses.replace(graph, nodes=tuple(before), outputs=last.inputs))
    (ours,) = outputs_of(module, batch)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-3)


@pytest.mark.parametrize(
    ("stage", "dynamic"),
    [
        ("text_detection", {0: Dim("n"), 2: 32 * Dim("h"), 3: 32 * Dim("w")}),
        ("recognition", {0: Dim("n"), 3: 8 * Dim("w")}),
    ],
)
def test_export_takes_any_batch_and_size(store, stage, dynamic):
    network = store.load(stage)
    exported = torch.export.export(network, (images(stage, 2),), dynamic_shapes=(dynamic,)).module()
    other = images(stage, 3, {"H": 64, "W": 224})
    for ours, theirs in zip(outputs_of(exported, other), outputs_of(network, other), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
