"""Which characters of an alphabet belong to which scripts, by the names that Unicode gives them."""

import unicodedata
from collections.abc import Collection, Sequence

from quintet.errors import SettingsError

ALL = "all"
# What is in the names of a script's letters. Of other scripts there are letters in some alphabets: they go by `all`.
_NAMED = {
    "latin": ("LATIN",),
    "greek": ("GREEK",),
    "cyrillic": ("CYRILLIC",),
    "cjk": ("CJK", "IDEOGRAPHIC"),
    "kana": ("HIRAGANA", "KATAKANA"),
    "hangul": ("HANGUL",),
    "arabic": ("ARABIC",),
    "hebrew": ("HEBREW",),
    "devanagari": ("DEVANAGARI",),
    "tamil": ("TAMIL",),
    "telugu": ("TELUGU",),
    "kannada": ("KANNADA",),
    "thai": ("THAI",),
    "armenian": ("ARMENIAN",),
    "georgian": ("GEORGIAN",),
}
SCRIPTS = tuple(_NAMED)


def script_of(character: str) -> str:
    """The script of a letter or mark: one of `SCRIPTS`, or "other"; "" for what all scripts have in common."""
    if unicodedata.category(character[0])[0] not in "LM":
        return ""
    name = unicodedata.name(character[0], "")
    found = next((script for script, words in _NAMED.items() if any(word in name for word in words)), "")
    return found or ("other" if " LETTER " in name else "")  # MICRO SIGN and its like are common


def classes_of(alphabet: Sequence[str], scripts: Collection[str]) -> list[int]:
    """Which of an alphabet's classes are of some scripts or common to all of them, in their order.

    The blank of CTC, which stands for no character, is common.

    Raises:
        SettingsError: the alphabet has no letter of one of the scripts.
    """
    if ALL in scripts:
        return list(range(len(alphabet)))
    of = [script_of(character) if character else "" for character in alphabet]
    if missing := [script for script in scripts if script not in of]:
        known = ", ".join(script for script in SCRIPTS if script in of)
        raise SettingsError(
            f"setting scripts names {missing[0]!r}, which the recogniser's alphabet has no letter of; it has {known}"
        )
    return [number for number, script in enumerate(of) if not script or script in scripts]
