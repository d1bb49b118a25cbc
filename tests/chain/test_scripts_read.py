"""A recogniser with the classes of some scripts: the same network over fewer, in both engines."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import openvino
import pytest
import torch
from quintet.engine.engine import Engine
from quintet.engine.graphs.classes import keep_in_graph, keep_in_openvino
from quintet.engine.graphs.graph import load_graph
from quintet.errors import WeightsError
from quintet.pages.chain import PageChain
from quintet.pages.scripts import classes_of
from quintet.pages.settings import Settings
from quintet.pages.weights import load_alphabet, networks_in

from tests.chain.test_chain import results
from tests.conftest import draw_page, encode

if TYPE_CHECKING:
    from pathlib import Path

LINES = ["Quintet reads pages", "Total 1,249.50 EUR"]


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_what_is_kept_is_computed_as_before_and_shares_the_probability(model_store: Path, name: str) -> None:
    store = networks_in(model_store)
    kept = classes_of(load_alphabet(store), ["latin"])
    assert 1000 < len(kept) < 3000
    settings = Settings(device="cpu", engine=name, dtype="float32")
    batch = torch.randn(2, 3, 48, 160, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        (whole,) = Engine(settings, store).network("recognition")(batch)
        (fewer,) = Engine(settings, store, classes={"recognition": kept}).network("recognition")(batch)
    assert fewer.shape == (2, 20, len(kept))
    torch.testing.assert_close(fewer, whole[..., kept] / whole[..., kept].sum(dim=-1, keepdim=True), atol=1e-4, rtol=0)


def test_latin_pages_read_alike_and_letters_of_other_scripts_never_come(chain: PageChain, model_store: Path) -> None:
    bodies = [encode(draw_page(LINES))]
    latin, greek = (PageChain(Settings(scripts=(script,)), model_store) for script in ("latin", "greek"))
    assert len({chain.fingerprint, latin.fingerprint, greek.fingerprint}) == 3
    assert [page["text"].split("\n") for page in results(latin(bodies))] == [LINES]
    (page,) = results(greek(bodies))
    assert "1,249.50" in page["text"]
    assert not any("LATIN" in unicodedata.name(character, "") for character in page["text"])


def test_a_network_that_ends_in_no_classes_is_refused(model_store: Path) -> None:
    store = networks_in(model_store)
    graph = load_graph(store.path("text_detection", ".json"), store.path("text_detection", ".safetensors"))
    with pytest.raises(WeightsError, match="does not end in a linear layer"):
        keep_in_graph(graph, [0])
    model = openvino.Core().read_model(store.path("text_detection", ".onnx"))
    with pytest.raises(WeightsError, match="does not end in a linear layer"):
        keep_in_openvino(model, [0])
