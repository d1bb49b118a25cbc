"""Stages that are left out: a request gets what the setting gives, says so, and changes nothing for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from quintet.engine.networks import OpenVino
from quintet.frame.chain import HasOptionalStages
from quintet.pages.chain import PageChain
from quintet.pages.settings import OPTIONAL_STAGES, Settings

from tests.chain.test_chain import assert_same_reading, results
from tests.conftest import draw_page, encode

if TYPE_CHECKING:
    from pathlib import Path

LINES = ["Quintet reads pages", "Invoice 2024-0117", "Total 1,249.50 EUR", "Thank you for your visit"]


def with_a_turned_line() -> bytes:
    page = draw_page(LINES)
    page.paste(page.crop((40, 190, 760, 250)).rotate(180), (40, 190))
    return encode(page)


BODIES = [encode(draw_page(LINES)), encode(draw_page(LINES, turn_deg=90)), with_a_turned_line()]


@pytest.fixture(scope="module")
def whole(chain: PageChain) -> list[dict[str, Any]]:
    return results(chain(BODIES))


def test_the_page_chain_has_what_the_frame_asks_for(chain: PageChain) -> None:
    assert isinstance(chain, HasOptionalStages)
    assert set(OPTIONAL_STAGES) <= set(Settings.__dataclass_fields__)


@pytest.mark.parametrize("stages", [("layout",), OPTIONAL_STAGES], ids=["layout", "all"])
def test_a_request_gets_what_the_setting_gives(
    chain: PageChain, model_store: Path, whole: list[dict[str, Any]], stages: tuple[str, ...]
) -> None:
    asked = chain.without(stages)
    by_setting = PageChain(Settings.from_options(dict.fromkeys(stages, False)), model_store)
    assert asked.fingerprint == by_setting.fingerprint == by_setting.without(stages).fingerprint != chain.fingerprint
    chain.take_stage_seconds()
    read = results(asked(BODIES))
    assert not set(stages) & set(chain.take_stage_seconds())
    for ours, theirs in zip(read, results(by_setting(BODIES)), strict=True):
        assert_same_reading(ours, theirs)
        assert ours["left_out"] == theirs["left_out"] == list(stages)
    assert results(chain(BODIES)) == whole
    assert not any("left_out" in page for page in whole)


def test_networks_of_stages_that_a_setting_has_off_are_not_loaded(
    model_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, load = [], OpenVino.network
    monkeypatch.setattr(OpenVino, "network", lambda on, path, *rest: loaded.append(path.stem) or load(on, path, *rest))
    off = dict.fromkeys(OPTIONAL_STAGES, False)
    PageChain(Settings.from_options({"device": "cpu", "engine": "openvino", **off}), model_store)
    assert sorted(loaded) == ["recognition", "text_detection"]


def test_without_layout_there_are_no_regions_and_all_of_the_text(chain: PageChain, whole: list[dict[str, Any]]) -> None:
    for page, with_regions in zip(results(chain.without(["layout"])(BODIES)), whole, strict=True):
        assert page["regions"] == []
        assert [line["region"] for line in page["lines"]] == [None] * len(page["lines"])
        assert sorted(page["text"].split("\n")) == sorted(with_regions["text"].split("\n"))


def test_without_page_orientation_pages_are_taken_as_they_lie(chain: PageChain) -> None:
    upright, lying, _ = results(chain.without(["page_orientation"])(BODIES))
    for page, text_score in ((upright, 1.0), (lying, 0.0)):
        assert page["orientation"] == {"angle_deg": 0, "score": 0.0, "text_score": text_score}
    assert upright["text"].split("\n") == LINES
    assert (lying["width_px"], lying["height_px"]) == (1000, 800)


def test_without_line_orientation_a_turned_line_is_not_read_again(
    chain: PageChain, whole: list[dict[str, Any]]
) -> None:
    assert whole[-1]["text"].split("\n") == LINES
    *_, page = results(chain.without(["line_orientation"])(BODIES))
    assert LINES[2] not in page["text"]
    assert {LINES[0], LINES[1], LINES[3]} <= set(page["text"].split("\n"))


def test_without_words_lines_have_none_and_all_else_is_the_same(chain: PageChain, whole: list[dict[str, Any]]) -> None:
    for page, with_words in zip(results(chain.without(["words"])(BODIES)), whole, strict=True):
        lines = [{name: value for name, value in line.items() if name != "words"} for line in with_words["lines"]]
        assert page == {**with_words, "lines": lines, "left_out": ["words"]}
        assert all(line["words"] for line in with_words["lines"])
