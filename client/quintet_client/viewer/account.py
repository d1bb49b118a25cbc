"""The ledger as a reader sees it: pages by state, code and name, in order; nothing is ever written."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quintet_client.errors import UsageError

# What a viewer calls a state, and what the ledger calls it.
STATES = {"ok": ("ok",), "failed": ("failed",), "left": ("pending", "sent")}
_COLUMNS = "page_id, state, code, message, tries, size_bytes, updated_at"


@dataclass(frozen=True, slots=True)
class Entry:
    """One page in the ledger.

    Attributes:
        page_id: the page.
        state: ok, failed or left (to do).
        code: stable code of a failure, else empty.
        message: what was said about the failure, else empty.
        tries: tries used up.
        size_bytes: size of the source file; -1 if unknown.
        updated_at: when the row was written last (ISO 8601, UTC): for pages with an end, when that was.
    """

    page_id: str
    state: str
    code: str
    message: str
    tries: int
    size_bytes: int
    updated_at: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which pages are meant; empty fields leave nothing out.

    Attributes:
        state: ok, failed or left.
        code: a failure's code.
        name: a part of the page's id, without regard to case.
    """

    state: str = ""
    code: str = ""
    name: str = ""

    def where(self) -> tuple[str, list[str]]:
        """Return a condition of SQL and its values."""
        parts, values = ["1"], list[str]()
        if self.state:
            states = STATES.get(self.state, ())
            parts.append(f"state IN ({', '.join('?' * len(states))})")
            values += states
        if self.code:
            parts.append("code = ?")
            values.append(self.code)
        if self.name:
            parts.append("instr(lower(page_id), lower(?)) > 0")
            values.append(self.name)
        return " AND ".join(parts), values


EVERY_PAGE = Filter()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page stands among those that a filter leaves: its number from 1, and its neighbours."""

    position: int
    total: int
    previous: str | None
    next: str | None


class Account:
    """The ledger of one OUTPUT; safe to share between threads, also while a run writes it."""

    def __init__(self, path: Path) -> None:
        """Check that the ledger can be read.

        Raises:
            UsageError: it is not there, or is no ledger.
        """
        if not path.is_file():
            raise UsageError(f"{path.parent} holds no {path.name}; give the OUTPUT folder of a `quintet read`")
        self._path = path
        try:
            self.counts()
        except sqlite3.Error as error:
            raise UsageError(f"{path} cannot be read ({error}); give the OUTPUT folder of a `quintet read`") from error

    def counts(self) -> dict[str, int]:
        """Return how many pages are ok, failed and left."""
        found = dict(self._query("SELECT state, count(*) FROM pages GROUP BY state"))
        return {name: sum(found.get(state, 0) for state in states) for name, states in STATES.items()}

    def codes(self) -> list[tuple[str, int]]:
        """Return the failures by code, the most frequent first."""
        return self._query(
            "SELECT code, count(*) FROM pages WHERE state = 'failed' GROUP BY code ORDER BY count(*) DESC, code"
        )

    def count(self, chosen: Filter = EVERY_PAGE) -> int:
        """Return how many pages a filter leaves."""
        where, values = chosen.where()
        return int(self._query(f"SELECT count(*) FROM pages WHERE {where}", values)[0][0])  # noqa: S608

    def entries(self, chosen: Filter = EVERY_PAGE, start: int = 0, count: int = 60) -> list[Entry]:
        """Return so many pages of those that a filter leaves, sorted by id."""
        where, values = chosen.where()
        query = f"SELECT {_COLUMNS} FROM pages WHERE {where} ORDER BY page_id LIMIT ? OFFSET ?"  # noqa: S608
        return [_entry(found) for found in self._query(query, [*values, count, start])]

    def find(self, page_id: str) -> Entry | None:
        """Return what is known of a page; None if the ledger does not know it."""
        found = self._query(f"SELECT {_COLUMNS} FROM pages WHERE page_id = ?", [page_id])  # noqa: S608
        return _entry(found[0]) if found else None

    def place(self, page_id: str, chosen: Filter = EVERY_PAGE) -> Place:
        """Return where a page stands among those that a filter leaves."""
        where, values = chosen.where()

        def ask(question: str) -> list[tuple[Any, ...]]:
            return self._query(question.format(where=where), [*values, page_id])

        before = ask("SELECT count(*) FROM pages WHERE {where} AND page_id < ?")
        previous = ask("SELECT page_id FROM pages WHERE {where} AND page_id < ? ORDER BY page_id DESC LIMIT 1")
        following = ask("SELECT page_id FROM pages WHERE {where} AND page_id > ? ORDER BY page_id LIMIT 1")
        return Place(before[0][0] + 1, self.count(chosen), _first(previous), _first(following))

    def read_since(self, updated_at: str) -> list[tuple[str, str]]:
        """Return id and moment of every page that was read at this moment (ISO 8601) or later; all for ''."""
        return self._query("SELECT page_id, updated_at FROM pages WHERE state = 'ok' AND updated_at >= ?", [updated_at])

    def ends_by_second(self) -> list[tuple[str, int, int]]:
        """Return seconds (ISO 8601, UTC, sorted) in which pages came to their end: how many ok, how many failed."""
        return self._query(
            "SELECT substr(updated_at, 1, 19) AS second, sum(state = 'ok'), sum(state = 'failed') FROM pages"
            " WHERE state IN ('ok', 'failed') GROUP BY second ORDER BY second"
        )

    def facts(self) -> dict[str, str]:
        """Return what the ledger says of the run as a whole."""
        return dict(self._query("SELECT name, value FROM facts"))

    def _query(self, question: str, values: Sequence[str | int] = ()) -> list[tuple[Any, ...]]:
        with self._open() as connection:
            return connection.execute(question, values).fetchall()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the ledger for one question (0.2 ms): a reader that stays would keep a run from tidying up its log."""
        # To read a ledger that nobody writes SQLite would put two files beside it, unless told that it cannot change.
        at_rest = not self._path.with_name(self._path.name + "-wal").exists()
        uri = f"{self._path.absolute().as_uri()}?mode=ro{'&immutable=1' if at_rest else ''}"
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            yield connection


def _entry(found: Sequence[str | int]) -> Entry:
    page_id, state, code, message, tries, size_bytes, updated_at = found
    shown = next((name for name, states in STATES.items() if state in states), "left")
    return Entry(str(page_id), shown, str(code), str(message), int(tries), int(size_bytes), str(updated_at))


def _first(found: Sequence[Sequence[str]]) -> str | None:
    return found[0][0] if found else None
