"""Scripts: letters by the names that Unicode gives them, and what all scripts have in common."""

from __future__ import annotations

import pytest
from quintet.errors import SettingsError
from quintet.pages.scripts import SCRIPTS, classes_of, script_of


@pytest.mark.parametrize(
    ("script", "characters"),
    [
        ("latin", "AzßÆⱥﬁ\uff21ạ"),
        ("greek", "Ωςά"),
        ("cyrillic", "Жѣ"),
        ("cjk", "漢㐂々豈"),
        ("kana", "あアｱー"),
        ("hangul", "한ᄀ"),
        ("arabic", "عﷲ\u064e"),
        ("devanagari", "क्"),
        ("other", "Ϣᚠ"),
        ("", " 0\uff17¼!?。「€+∑→★😀µℵª\u0301Ⅳ"),
    ],
)
def test_a_character_belongs_to_its_script_or_to_all(script: str, characters: str) -> None:
    assert {character: script_of(character) for character in characters} == dict.fromkeys(characters, script)


ALPHABET = ("", "A", "ж", "7", "ω", "漢", "Ϣ", ".", " ")


@pytest.mark.parametrize(
    ("scripts", "kept"),
    [
        (["all"], ALPHABET),
        (["latin", "all"], ALPHABET),
        (["latin"], ("", "A", "7", ".", " ")),
        (["greek", "cjk"], ("", "7", "ω", "漢", ".", " ")),
    ],
)
def test_classes_of_chosen_scripts_keep_their_order_with_the_blank_first(scripts: list[str], kept: tuple[str]) -> None:
    assert tuple(ALPHABET[number] for number in classes_of(ALPHABET, scripts)) == kept


def test_a_script_that_the_alphabet_has_not_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"scripts names 'thai'.*it has latin, greek, cyrillic, cjk$"):
        classes_of(ALPHABET, ["latin", "thai"])
    assert {script_of(character) for character in ALPHABET if character} <= {*SCRIPTS, "other", ""}
