"""Search through all pages: queries, the places of their words in a line, and the index that finds pages.

Query and text are folded alike: no accents, no case. Each Chinese, Japanese or Korean character is a word, since no
spaces separate theirs. The index is FTS5 in a temporary SQLite database, built when it is first needed.
"""

import logging
import re
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

from quintet_client.viewer.data.run import Run

MAX_TERMS = 16
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
# What SQLite's unicode61 takes for a token: letters and digits; everything else separates words.
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]+")
_ASKED = re.compile(r'"([^"]*)"?|(\S+)')

Part = tuple[str, bool]
# Parsed outside the lock, inserted within it: a search waits some 10 ms for a portion.
_PORTION = 64
# How often a search looks for new pages.
_LOOK_AGAIN_S = 2.0
_log = logging.getLogger(__name__)
_FOUND = "FROM words JOIN pages ON pages.number = words.rowid WHERE words MATCH ?"
_BEST = f"SELECT page_id {_FOUND} ORDER BY rank, page_id LIMIT ? OFFSET ?"


@dataclass(frozen=True, slots=True)
class Term:
    """Consecutive words; the last may be a prefix unless the term is `whole` ("inv" finds "Invoice")."""

    words: tuple[str, ...]
    whole: bool

    def matches_at(self, words: Sequence[str], index: int) -> bool:
        """Whether a line has the term at this word."""
        found = tuple(words[index : index + len(self.words)])
        if len(found) < len(self.words) or found[:-1] != self.words[:-1]:
            return False
        return found[-1] == self.words[-1] if self.whole else found[-1].startswith(self.words[-1])


def words_of(text: str) -> list[str]:
    """Return the folded words of a text, as they are put into the index."""
    return _WORD.findall(text.lower() if text.isascii() else "".join(map(_folded_character, text)))


def terms_of(query: str) -> list[Term]:
    """Parse a query: words that must all be there, phrases in quotes; empty if it holds no word."""
    asked = _ASKED.findall(query)[:MAX_TERMS]
    return [Term(tuple(words), bool(quoted)) for quoted, plain in asked if (words := words_of(quoted or plain))]


def fts_query(terms: Sequence[Term]) -> str:
    """Write terms as a query of SQLite's FTS5; folded words hold nothing that would have to be escaped."""
    return " AND ".join(f'"{" ".join(term.words)}"{"" if term.whole else "*"}' for term in terms)


def parts_of(text: str, terms: Sequence[Term]) -> list[Part]:
    """Cut a line into pieces, each with whether it belongs to a term; joined they give the line."""
    found = _words_in(text)
    words = [word for word, _start, _end in found]
    hits = [False] * len(text)
    for term in terms:
        for index, (_word, start, _end) in enumerate(found):
            if term.matches_at(words, index):
                end = found[index + len(term.words) - 1][2]
                hits[start:end] = [True] * (end - start)
    runs = groupby(zip(text, hits, strict=True), key=itemgetter(1))
    return [("".join(character for character, _hit in run), hit) for hit, run in runs]


def _words_in(text: str) -> list[tuple[str, int, int]]:
    """Folded words, with start and end in the text itself: folding may make one character several."""
    pieces = [_folded_character(character) for character in text]
    places = [place for place, piece in enumerate(pieces) for _ in piece]
    return [
        (found.group(), places[found.start()], places[found.end() - 1] + 1) for found in _WORD.finditer("".join(pieces))
    ]


@lru_cache(maxsize=1 << 16)
def _folded_character(character: str) -> str:
    if character.isascii():
        return character.lower()
    letters = (part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
    # Composed again: a Korean syllable falls into its letters, and is to stay one character.
    return unicodedata.normalize("NFC", "".join(letters)).casefold()


@dataclass(frozen=True, slots=True)
class Found:
    """The pages that a query finds."""

    total: int
    page_ids: tuple[str, ...]  # of one screen, the best first
    indexed: int  # pages that were searched
    complete: bool  # those are all that have been read
    has_text: bool  # some of them hold text; otherwise names alone were searched


class Index:
    """The words of all pages of a run; safe to share between threads."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._up_to_date = threading.Event()
        self._builder: threading.Thread | None = None
        self._looked_at = -_LOOK_AGAIN_S
        self._seen: dict[str, str] = {}
        self._has_text = False
        # A database without a name is a temporary file that SQLite unlinks at once: in memory as long as it is small.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(
            # Contentless: only words are kept. A page that is read again gets a new number; its old words find nothing.
            "CREATE VIRTUAL TABLE words USING fts5(text, content='', prefix='2 3',"
            " tokenize='unicode61 remove_diacritics 0');"
            "CREATE TABLE pages (page_id TEXT PRIMARY KEY, number INTEGER UNIQUE NOT NULL) WITHOUT ROWID;"
        )

    def search(self, query: str, start: int = 0, count: int = 20, wait_s: float = 0.3) -> Found:
        """Find the pages with every word and "phrase" of a query in text or name; waits `wait_s` for the index."""
        self.refresh()
        self._up_to_date.wait(wait_s)
        match = fts_query(terms_of(query))
        with self._lock:
            total, rows = 0, []
            if match:
                (total,) = self._database.execute(f"SELECT count(*) {_FOUND}", (match,)).fetchone()
                rows = self._database.execute(_BEST, (match, count, start)).fetchall()
            page_ids, complete = tuple(row[0] for row in rows), self._up_to_date.is_set()
            return Found(total, page_ids, len(self._seen), complete, self._has_text)

    def refresh(self) -> None:
        """Start to add pages that the index lacks, unless that is going on or was just done."""
        with self._lock:
            building = self._builder is not None and self._builder.is_alive()
            if building or self._closed.is_set() or time.monotonic() - self._looked_at < _LOOK_AGAIN_S:
                return
            self._looked_at = time.monotonic()
            self._up_to_date.clear()
            self._builder = threading.Thread(target=self._build, name="index", daemon=True)
            self._builder.start()

    def close(self) -> None:
        """End the thread and drop the index."""
        self._closed.set()
        if self._builder is not None:
            self._builder.join()
        self._database.close()

    def _build(self) -> None:
        try:
            latest = max(self._seen.values(), default="")
            read = self._run.ledger.read_since(latest)
            todo = [(page_id, at) for page_id, at in read if self._seen.get(page_id) != at]
            for begin in range(0, len(todo), _PORTION):
                if self._closed.is_set():
                    return
                self._add(todo[begin : begin + _PORTION])
        except Exception:  # noqa: BLE001 - the thread's outermost boundary
            _log.exception("the search index is incomplete")
        self._up_to_date.set()

    def _add(self, pages: Sequence[tuple[str, str]]) -> None:
        rows = [(page_id, at, " ".join(words_of(f"{page_id} {self._text(page_id)}"))) for page_id, at in pages]
        with self._lock:
            self._database.execute("BEGIN")
            for page_id, at, text in rows:
                number = self._database.execute("INSERT INTO words (text) VALUES (?)", (text,)).lastrowid
                self._database.execute("INSERT OR REPLACE INTO pages VALUES (?, ?)", (page_id, number))
                self._seen[page_id] = at
            self._database.execute("COMMIT")

    def _text(self, page_id: str) -> str:
        text = self._run.document(page_id).get("text")
        if not isinstance(text, str):
            return ""
        self._has_text = True
        return text
