"""Words that are searched for: how a query is understood, and where its words stand in a line.

Both sides are folded alike: no accents, no case. A Chinese, Japanese or Korean character is a word of its own, since
their words are not set apart by spaces.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

MAX_TERMS = 16
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
# What SQLite's unicode61 takes for a token: letters and digits; everything else sets words apart.
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]+")
_ASKED = re.compile(r'"([^"]*)"?|(\S+)')

Part = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class Term:
    """Words that must stand one after the other; without quotes the last one may go on ("inv" finds "Invoice")."""

    words: tuple[str, ...]
    whole: bool

    def matches_at(self, words: Sequence[str], index: int) -> bool:
        """Whether the term stands in a line at this word."""
        found = tuple(words[index : index + len(self.words)])
        if len(found) < len(self.words) or found[:-1] != self.words[:-1]:
            return False
        return found[-1] == self.words[-1] if self.whole else found[-1].startswith(self.words[-1])


def folded(text: str) -> str:
    """Return text without accents and case."""
    return text.lower() if text.isascii() else "".join(map(_folded_character, text))


def words_of(text: str) -> list[str]:
    """Return the folded words of a text, as they are put into the index."""
    return _WORD.findall(folded(text))


def terms_of(query: str) -> list[Term]:
    """Understand a query: words that must all be there, phrases in quotes; empty if it holds no word."""
    terms = []
    for quoted, bare in _ASKED.findall(query)[:MAX_TERMS]:
        words = tuple(words_of(quoted or bare))
        if words:
            terms.append(Term(words, whole=bool(quoted)))
    return terms


def fts_query(terms: Sequence[Term]) -> str:
    """Write terms in the language of SQLite's FTS5; folded words hold nothing that would have to be escaped."""
    return " AND ".join(f'"{" ".join(term.words)}"{"" if term.whole else "*"}' for term in terms)


def parts_of(text: str, terms: Sequence[Term]) -> list[Part]:
    """Cut a line where terms stand in it.

    Returns:
        Pieces that joined give the line, each with whether it was searched for.
    """
    found = _words_in(text)
    words = [word for word, _start, _end in found]
    hits = [False] * len(text)
    for term in terms:
        for index, (_word, start, _end) in enumerate(found):
            if term.matches_at(words, index):
                end = found[index + len(term.words) - 1][2]
                hits[start:end] = [True] * (end - start)
    return _joined(text, hits)


def _joined(text: str, hits: Sequence[bool]) -> list[Part]:
    parts: list[Part] = []
    for character, hit in zip(text, hits, strict=True):
        if parts and parts[-1][1] == hit:
            parts[-1] = (parts[-1][0] + character, hit)
        else:
            parts.append((character, hit))
    return parts


def _words_in(text: str) -> list[tuple[str, int, int]]:
    """Folded words and where they stand in the text itself: folding may make one character several."""
    pieces = [_folded_character(character) for character in text]
    places = [place for place, piece in enumerate(pieces) for _ in piece]
    return [
        (found.group(), places[found.start()], places[found.end() - 1] + 1) for found in _WORD.finditer("".join(pieces))
    ]


@lru_cache(maxsize=1 << 16)
def _folded_character(character: str) -> str:
    if character.isascii():
        return character.lower()
    bare = (part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
    # Composed again: a Korean syllable falls into its letters, and is to stay one character.
    return unicodedata.normalize("NFC", "".join(bare)).casefold()
