"""A detector and a recogniser of one's own in place of the chain's: small ONNX files of PP-OCR's form, by hash."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from quintet.engine.conversion.build import build_store
from quintet.engine.weights import NetworkStore
from quintet.errors import WeightsError
from quintet.operations import archive
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings
from quintet.pages.weights import SOURCES, check_forms, load_alphabet

from tests.chain.test_chain import results
from tests.conftest import draw_page, encode

if TYPE_CHECKING:
    from pathlib import Path


def onnx_model(nodes: list, output: tuple, shape: tuple, **constants: object) -> ModelProto:
    graph = helper.make_graph(
        [helper.make_node(op, inputs, outputs, **attributes) for op, inputs, outputs, attributes in nodes],
        "own",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def detector() -> ModelProto:
    """Text is where the page is dark."""
    nodes = [("Conv", ["x", "w", "b"], ["c"], {"kernel_shape": [1, 1]}), ("Sigmoid", ["c"], ["y"], {})]
    weight = np.full((1, 3, 1, 1), -3.0)
    return onnx_model(nodes, ("N", 1, "H", "W"), ("N", 3, "H", "W"), w=weight, b=[0.0])


def recogniser(characters: str = "и\nж\nz", step_px: int = 8) -> ModelProto:
    """Each step is a ж where it has ink, and blank where it has none."""
    pool = {"kernel_shape": [48, step_px], "strides": [48, step_px]}
    nodes = [
        ("AveragePool", ["x"], ["p"], pool),
        ("Squeeze", ["p"], ["s"], {"axes": [2]}),
        ("Transpose", ["s"], ["t"], {"perm": [0, 2, 1]}),
        ("MatMul", ["t", "w"], ["m"], {}),
        ("Add", ["m", "b"], ["a"], {}),
        ("Softmax", ["a"], ["y"], {"axis": 2}),
    ]
    weight = [[40.0, -9, -40, -9, -9]] * 3
    made = onnx_model(nodes, ("N", "T", 5), ("N", 3, 48, "W"), w=weight, b=[-110.0, 0, 110, 0, 0])
    made.metadata_props.add(key="character", value=characters)
    return made


def put(store: Path, name: str, model: ModelProto, file: str | None = None) -> None:
    """What a person does: the file, and its line of sha256sum."""
    content, file = model.SerializeToString(), file or f"my {name}.onnx"
    (store / "sources").mkdir(exist_ok=True)
    (store / "sources" / file).write_bytes(content)
    (store / "sources" / f"{name}.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {file}\n")


@pytest.fixture
def store(model_store: Path, tmp_path: Path) -> Path:
    """The networks of the chain, whole."""
    shutil.copytree(model_store / "networks", tmp_path / "networks")
    shutil.copy(model_store / "provenance.json", tmp_path)
    return tmp_path


def make(folder: Path) -> NetworkStore:
    """As `quintet models`, by code that has not changed: what is there is not made again, and nothing downloaded."""
    store = NetworkStore.of(folder, SOURCES)
    build_store(store, store.provenance().converter, folder / "no wheels", folder / "sources")
    return store


def test_networks_of_ones_own_are_made_read_with_and_packed(model_store: Path, store: Path) -> None:
    put(store, "text_detection", detector())
    put(store, "recognition", recogniser())
    before = {path.name: path.stat().st_mtime_ns for path in (store / "networks").iterdir()}
    made = make(store)
    changed = {path.name for path in (store / "networks").iterdir() if before[path.name] != path.stat().st_mtime_ns}
    assert {name.partition(".")[0] for name in changed} == {"text_detection", "recognition"}
    provenance = made.verify()
    source = provenance.networks["recognition"].source
    assert (source.origin, source.file_sha256) == (
        "my recognition.onnx", hashlib.sha256(recogniser().SerializeToString()).hexdigest(),
    )  # fmt: skip
    assert load_alphabet(made) == ("", "и", "ж", "z", " ")
    unpacked = store / "unpacked"
    with zipfile.ZipFile(archive.pack(store / "quintet.mar", networks=store)) as packed:
        packed.extractall(unpacked)
    chain = PageChain(Settings(device="cpu"), unpacked)
    assert chain.fingerprint != f"{NetworkStore.of(model_store, SOURCES).fingerprint()}-{Settings().fingerprint()}"
    (page,) = results(chain([encode(draw_page(["Total 1,249.50 EUR"], (500, 200)))]))
    assert page["lines"]
    assert {character for line in page["lines"] for character in line["text"]} == {"ж"}
    (unpacked / "sources" / "recognition.sha256").unlink()
    with pytest.raises(WeightsError, match=r"recognition in the store was not made from rapidocr 3\.10\.0"):
        PageChain(Settings(device="cpu"), unpacked)


def test_a_file_that_is_not_the_one_of_its_hash_is_refused(store: Path) -> None:
    put(store, "recognition", recogniser())
    (store / "sources" / "my recognition.onnx").write_bytes(recogniser("и\nж\nю").SerializeToString())
    with pytest.raises(WeightsError, match=r"my recognition\.onnx is not the file pinned"):
        make(store)
    (store / "sources" / "my recognition.onnx").unlink()
    with pytest.raises(WeightsError, match=r"cannot read my recognition\.onnx in .*sources"):
        make(store)


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("recogniser", f"{'0' * 64}  a.onnx\n", "no network 'recogniser'; there are page_orientation"),
        ("recognition", "not a hash", "recognition.sha256 is no line of sha256sum"),
        ("recognition", f"{'0' * 64}  ../a.onnx\n", "recognition.sha256 is no line of sha256sum"),
    ],
)
def test_a_hash_of_nothing_that_there_can_be_is_refused(tmp_path: Path, name: str, line: str, words: str) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / f"{name}.sha256").write_text(line)
    with pytest.raises(WeightsError, match=words):
        NetworkStore.of(tmp_path, SOURCES)


def test_networks_of_another_form_are_refused_with_what_they_give(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, "recognition", recogniser(step_px=4))
    with pytest.raises(WeightsError, match="not classes at every 8 pixels"):
        check_forms(make(store))
    monkeypatch.setattr("quintet.pages.weights.MOST_CLASSES", 4)
    put(store, "recognition", recogniser("и\nж"))
    with pytest.raises(WeightsError, match="has 5 classes; the most allowed are 4"):
        check_forms(make(store))
    with pytest.raises(WeightsError, match="5 classes and an alphabet of 4"):
        load_alphabet(make(store))
    modules = [dataclasses.replace(source, module="json:loads") for source in SOURCES]
    with pytest.raises(WeightsError, match="recognition comes as a module"):
        NetworkStore.of(store, modules)
