from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from quintet.errors import HTTP_STATUS, Code, SettingsError
from quintet.pages.settings import Settings, read_settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_shipped_configuration_is_valid_and_names_every_setting() -> None:
    options = yaml.safe_load((ROOT / "handlers" / "model-config.yaml").read_text())["handler"]
    assert options.pop("chain") == "quintet.pages.chain:PageChain"
    for of_the_frame in ("pages_per_batch", "pages_at_once", "shared_memory_bytes", "shared_memory_rings"):
        assert options.pop(of_the_frame) > 0
    assert options.pop("shared_memory") is False
    assert read_settings(options) == Settings()
    assert sorted(options) == sorted(field.name for field in dataclasses.fields(Settings))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"treshold": 1}, ["treshold", "text_threshold"]),
        ({"text_threshold": 1.5}, ["text_threshold", "1.5", "from 0.0 to 1.0"]),
        ({"text_threshold": "0.3"}, ["text_threshold", "'0.3'"]),
        ({"threads": 1.5}, ["threads", "1.5", "int"]),
        ({"threads": True}, ["threads", "True"]),
        ({"device": "tpu"}, ["device", "tpu", "cuda"]),
    ],
)
def test_a_wrong_setting_is_an_error_that_names_key_value_and_what_is_allowed(
    options: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(options)
    assert all(word in str(error.value) for word in words)


def test_the_fingerprint_follows_what_changes_answers_and_nothing_else() -> None:
    assert Settings(threads=3).fingerprint() == Settings().fingerprint()
    assert Settings(text_threshold=0.2).fingerprint() != Settings().fingerprint()


def test_every_code_has_a_status() -> None:
    assert set(HTTP_STATUS) == set(Code)
