"""Search through all pages: an FTS5 index in a temporary database of SQLite's own, built when it is first needed."""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from quintet_client.viewer.data.matches import fts_query, terms_of, words_of
from quintet_client.viewer.data.run import Run

# Parsed outside the lock, inserted within it: a search waits some 10 ms for a portion.
_PORTION = 64
# How often a search looks for pages that were read meanwhile.
_LOOK_AGAIN_S = 2.0
_log = logging.getLogger(__name__)
_FOUND = "FROM words JOIN pages ON pages.number = words.rowid WHERE words MATCH ?"


@dataclass(frozen=True, slots=True)
class Found:
    """Pages that hold what was searched for, the best first.

    Attributes:
        total: how many there are.
        page_ids: those of one screen.
        indexed: how many pages have been looked through.
        complete: whether those are all that have been read.
    """

    total: int
    page_ids: tuple[str, ...]
    indexed: int
    complete: bool


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
        # A database without a name is a temporary file that SQLite unlinks at once: in memory as long as it is small.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(
            # Without content: words alone are kept. A page read again gets a new number; its old words find nothing.
            "CREATE VIRTUAL TABLE words USING fts5(text, content='', prefix='2 3',"
            " tokenize='unicode61 remove_diacritics 0');"
            "CREATE TABLE pages (page_id TEXT PRIMARY KEY, number INTEGER UNIQUE NOT NULL) WITHOUT ROWID;"
        )

    def search(self, query: str, start: int = 0, count: int = 20, wait_s: float = 0.3) -> Found:
        """Find the pages that hold every word and phrase of a query, in their text or in their name.

        Args:
            query: words, and phrases in double quotes.
            start: how many of the best to leave out.
            count: how many pages to return at most.
            wait_s: how long to wait for the index; after that, what it holds so far is searched.
        """
        self.refresh()
        self._up_to_date.wait(wait_s)
        terms = terms_of(query)
        with self._lock:
            total, found = self._find(fts_query(terms), start, count) if terms else (0, ())
            return Found(total, found, len(self._seen), self._up_to_date.is_set())

    def refresh(self) -> None:
        """Start looking for pages that the index lacks, unless that is going on or was just done."""
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

    def _find(self, match: str, start: int, count: int) -> tuple[int, tuple[str, ...]]:
        (total,) = self._database.execute(f"SELECT count(*) {_FOUND}", (match,)).fetchone()
        rows = self._database.execute(
            f"SELECT page_id {_FOUND} ORDER BY rank, page_id LIMIT ? OFFSET ?",
            (match, count, start),
        )
        return int(total), tuple(page_id for (page_id,) in rows)

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
        try:
            text = json.loads(self._run.answer(page_id)).get("text", "")
        except (OSError, ValueError, RecursionError, AttributeError):
            return ""
        return text if isinstance(text, str) else ""
