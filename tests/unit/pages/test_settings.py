from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from quintet.errors import HTTP_STATUS, Code, SettingsError
from quintet.frame.settings import FrameSettings
from quintet.pages.settings import Settings

ROOT = Path(__file__).resolve().parents[3]


def test_the_shipped_configuration_is_valid_and_names_every_setting() -> None:
    options = yaml.safe_load((ROOT / "handlers" / "model-config.yaml").read_text())["handler"]
    assert options.pop("chain") == "quintet.pages.chain:PageChain"
    assert FrameSettings.taken_from(options, {}) == FrameSettings()
    assert Settings.from_options(options) == Settings()
    assert sorted(options) == sorted(field.name for field in dataclasses.fields(Settings))


def test_clients_are_told_the_size_of_requests_that_torchserve_takes() -> None:
    properties = (ROOT / "config.properties").read_text()
    assert f"\nmax_request_size={FrameSettings().max_request_bytes}\n" in properties


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"treshold": 1}, ["treshold", "text_threshold"]),
        ({"text_threshold": 1.5}, ["text_threshold", "1.5", "from 0.0 to 1.0"]),
        ({"text_threshold": "0.3"}, ["text_threshold", "'0.3'"]),
        ({"threads": 1.5}, ["threads", "1.5", "int"]),
        ({"threads": True}, ["threads", "True"]),
        ({"device": "tpu"}, ["device", "tpu", "cuda"]),
        ({"layout": "of"}, ["layout", "'of'", "bool"]),
        ({"layout": 0}, ["layout", "0", "bool"]),
        ({"scripts": ["latin", "runes"]}, ["scripts", "runes", "greek"]),
        ({"scripts": []}, ["scripts", "[]", "list"]),
        ({"scripts": "latin"}, ["scripts", "'latin'", "list"]),
    ],
)
def test_a_wrong_setting_is_an_error_that_names_key_value_and_what_is_allowed(
    options: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_options(options)
    assert all(word in str(error.value) for word in words)


def test_the_fingerprint_follows_what_changes_answers_and_nothing_else() -> None:
    assert Settings(threads=3).fingerprint() == Settings().fingerprint() == "c2cf729c"
    assert Settings(text_threshold=0.2).fingerprint() == "4e85b69a" != Settings().fingerprint()
    assert Settings(layout=False).fingerprint() != Settings().fingerprint()
    two = Settings.from_options({"scripts": ["greek", "latin", "greek"]})
    assert two == Settings(scripts=("latin", "greek"))
    assert two.fingerprint() not in {Settings().fingerprint(), Settings(scripts=("latin",)).fingerprint()}


@pytest.mark.parametrize("value", [0, -1, "64", True, 1.5])
def test_a_wrong_setting_of_the_frame_stops_the_start(value: object) -> None:
    with pytest.raises(SettingsError, match="pages_per_batch"):
        FrameSettings.taken_from({"pages_per_batch": value}, {})


def test_the_frame_takes_its_own_options_and_leaves_the_chains() -> None:
    options = {"pages_at_once": 100, "device": "cpu"}
    assert FrameSettings.taken_from(options, {}) == FrameSettings(pages_at_once=100)
    assert options == {"device": "cpu"}


def test_every_code_has_a_status() -> None:
    assert set(HTTP_STATUS) == set(Code)
