"""What a chain is called decides what it is served as; wrong names have words."""

import re

import pytest
import yaml
from quintet.errors import SettingsError
from quintet.operations import archive, models
from quintet.operations import service as torchserve
from quintet.operations.names import model_name, store_of
from quintet.pages.chain import PageChain


@pytest.mark.parametrize(
    ("chain", "model"),
    [
        ("pages", "quintet"),
        ("quintet.pages.chain:PageChain", "quintet"),
        ("photos", "photos"),
        ("zoo.chains.all:Zoo", "zoo"),
        ("zoo:Zoo", "zoo"),
    ],
)
def test_a_chain_is_served_under_its_own_name_and_the_page_chain_under_the_products(tmp_path, chain, model) -> None:
    assert model_name(chain) == model
    assert store_of(tmp_path, chain) == (tmp_path if model == "quintet" else tmp_path / model)


@pytest.mark.parametrize(
    "chain", ["", ":Zoo", "two words", "../zoo", "quintet", "quintet.elsewhere:Chain", "networks:Zoo"]
)
def test_what_cannot_be_an_address_or_would_be_taken_for_pages_is_refused(tmp_path, chain) -> None:
    with pytest.raises(SettingsError, match=re.escape(repr(chain))):
        torchserve.start(tmp_path / "run", chains=[chain], model_store=tmp_path)


def test_two_chains_of_one_name_are_refused(tmp_path) -> None:
    with pytest.raises(SettingsError, match=r"zoo\.a:A and zoo\.b:B would be served as zoo and zoo"):
        torchserve.start(tmp_path / "run", chains=["zoo.a:A", "zoo.b:B"], model_store=tmp_path)


def test_a_chain_that_nobody_has_packed_is_named_with_the_remedy(tmp_path) -> None:
    with pytest.raises(torchserve.ServiceError, match=r"zoo\.mar .* run `quintet models --chain zoo\.chain:Zoo`"):
        torchserve.start(tmp_path / "run", chains=["zoo.chain:Zoo"], model_store=tmp_path)


@pytest.mark.parametrize("chain", ["nosuch", "nosuch.chain:Zoo", "quintet.pages.chain:Nobody", "json:"])
def test_a_chain_that_is_not_there_is_not_packed(tmp_path, chain) -> None:
    with pytest.raises(SettingsError, match=re.escape(chain)):
        models.make(chain, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_configuration_of_another_chain_is_refused(tmp_path) -> None:
    config = tmp_path / "model-config.yaml"
    config.write_text("handler: {chain: 'zoo.chain:Zoo'}\n")
    with pytest.raises(SettingsError, match=r"zoo\.chain:Zoo.*quintet\.pages\.chain:PageChain"):
        archive.pack(tmp_path / "quintet.mar", "pages", networks=tmp_path, model_config=config)


def test_the_users_settings_are_packed_in_place_of_the_usual_ones(tmp_path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "model-config.yaml").write_text("responseTimeout: 60\nhandler: {scripts: [latin]}\n")
    usual = yaml.safe_load(archive.MODEL_CONFIG.read_text())
    own = archive._with_own(archive.MODEL_CONFIG.read_text(), tmp_path / "sources" / "model-config.yaml", PageChain)
    expected = {**usual, "responseTimeout": 60, "handler": {**usual["handler"], "scripts": ["latin"]}}
    assert yaml.safe_load(own) == expected


NO_SETTINGS = ("[1]", "handler: 3", "handler: {chain: 'a:B'}", "a: b: c", "\x00")
WRONG_SETTINGS = ("text_treshold: 0.1", "box_threshold: 7", "pages_at_once: 0")


@pytest.mark.parametrize("text", [*NO_SETTINGS, *(f"handler: {{{setting}}}" for setting in WRONG_SETTINGS)])
def test_settings_of_the_user_that_are_none_are_refused_by_the_name_of_their_file(tmp_path, text) -> None:
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"own\.yaml"):
        archive._with_own(archive.MODEL_CONFIG.read_text(), tmp_path / "own.yaml", PageChain)
