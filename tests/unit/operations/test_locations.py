"""Where the service's files are found: by a variable, in a checkout, in the working directory, or with the user."""

import xml.etree.ElementTree as ET

import pytest
import yaml
from quintet.operations import locations

from tests.conftest import ROOT


def test_a_checkout_has_its_own_model_store_and_run_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model_store").mkdir()
    assert locations.CHECKOUT == ROOT
    assert locations.model_store({}) == ROOT / "model_store"
    assert locations.run_folder({}) == ROOT / "build" / "serve"


def test_an_installed_package_takes_the_store_of_the_working_directory_or_of_the_user(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    of_user = tmp_path / "home" / ".cache" / "quintet" / "models"
    assert locations.model_store({}, checkout=None) == of_user
    assert locations.model_store({"XDG_CACHE_HOME": "/cache"}, checkout=None).as_posix() == "/cache/quintet/models"
    (tmp_path / "model_store").mkdir()
    assert locations.model_store({}, checkout=None) == tmp_path / "model_store"
    assert locations.run_folder({}, checkout=None) == tmp_path / "home" / ".local" / "state" / "quintet" / "serve"
    assert locations.run_folder({"XDG_STATE_HOME": "/state"}, checkout=None).as_posix() == "/state/quintet/serve"


@pytest.mark.parametrize("checkout", [None, ROOT])
def test_variables_come_before_all_else(tmp_path, monkeypatch, checkout):
    monkeypatch.chdir(tmp_path)
    environment = {"QUINTET_MODEL_STORE": "models", "QUINTET_RUN_DIR": "/run/quintet"}
    assert locations.model_store(environment, checkout) == tmp_path / "models"
    assert locations.run_folder(environment, checkout).as_posix() == "/run/quintet"


def test_the_files_of_the_tree_are_there_and_whole():
    assert "inference_address=" in (locations.TREE / "config.properties").read_text()
    assert "class ChainHandler" in (locations.HANDLERS / "chain_handler.py").read_text()
    for name in ("metrics.yaml", "model-config.yaml"):
        assert yaml.safe_load((locations.HANDLERS / name).read_text())
    assert ET.parse(locations.HANDLERS / "log4j2.xml").getroot().tag == "Configuration"
