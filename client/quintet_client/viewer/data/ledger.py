"""The ledger, read-only: pages by state, code and name, in order."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quintet_client.errors import UsageError

STATES = ("ok", "failed", "left")
_STATE = "CASE WHEN state IN ('ok', 'failed') THEN state ELSE 'left' END"
_COLUMNS = f"page_id, {_STATE}, code, message, tries, size_bytes, updated_at"


@dataclass(frozen=True, slots=True)
class Entry:
    """One page in the ledger; fields as in `output.ledger.Row`."""

    page_id: str
    state: str  # ok, failed or left (to do)
    code: str
    message: str
    tries: int
    size_bytes: int
    updated_at: str  # when the row was last written (ISO 8601, UTC)


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects pages by state, code and a part of their id; empty fields select all."""

    state: str = ""
    code: str = ""
    name: str = ""

    def where(self) -> tuple[str, list[str]]:
        """Return an SQL condition and its values."""
        named = "instr(lower(replace(page_id, '%25', '%')), lower(?)) > 0"
        asked = {f"{_STATE} = ?": self.state, "code = ?": self.code, named: name_of(self.name)}
        chosen = {part: value for part, value in asked.items() if value}
        return " AND ".join(["1", *chosen]), list(chosen.values())


EVERY_PAGE = Filter()


def name_of(page_id: str) -> str:
    """A page's id as a person knows its file: the escape sign itself is the one that names have (100%.jpg)."""
    return page_id.replace("%25", "%")


@dataclass(frozen=True, slots=True)
class Place:
    """A page's place among those that a filter selects, and its neighbours."""

    position: int  # from 1
    total: int
    previous: str | None
    next: str | None


class LedgerReader:
    """The ledger of one OUTPUT; safe to share between threads, also while a run writes it."""

    def __init__(self, path: Path) -> None:
        """Raise UsageError if there is no such file, or it is no ledger."""
        if not path.is_file():
            raise UsageError(f"{path.parent} holds no {path.name}; give the OUTPUT folder of a `quintet read`")
        self._path = path
        try:
            self.counts()
        except sqlite3.Error as error:
            raise UsageError(f"{path} cannot be read ({error}); give the OUTPUT folder of a `quintet read`") from error

    def counts(self) -> dict[str, int]:
        """How many pages are ok, failed and left."""
        found = dict(self._select(f"{_STATE} AS shown, count(*)", more="GROUP BY shown"))
        return {state: found.get(state, 0) for state in STATES}

    def codes(self) -> list[tuple[str, int]]:
        """The failures by code, the most frequent first."""
        return self._select("code, count(*)", Filter(state="failed"), "GROUP BY code ORDER BY count(*) DESC, code")

    def count(self, chosen: Filter = EVERY_PAGE) -> int:
        """How many pages a filter selects."""
        return int(self._select("count(*)", chosen)[0][0])

    def entries(self, chosen: Filter = EVERY_PAGE, start: int = 0, count: int = 60) -> list[Entry]:
        """Pages that a filter selects, sorted by id: `count` of them, after the first `start`."""
        found = self._select(_COLUMNS, chosen, "ORDER BY page_id LIMIT ? OFFSET ?", count, start)
        return [Entry(*values) for values in found]

    def find(self, page_id: str) -> Entry | None:
        """Return what is known of a page; None if the ledger does not know it."""
        found = self._select(_COLUMNS, EVERY_PAGE, "AND page_id = ?", page_id)
        return Entry(*found[0]) if found else None

    def place(self, page_id: str, chosen: Filter = EVERY_PAGE) -> Place:
        """Return a page's place among those that a filter selects."""
        [(before, previous)] = self._select("count(*), max(page_id)", chosen, "AND page_id < ?", page_id)
        [(following,)] = self._select("min(page_id)", chosen, "AND page_id > ?", page_id)
        return Place(before + 1, self.count(chosen), previous, following)

    def read_since(self, updated_at: str) -> list[tuple[str, str]]:
        """Return id and time of every page that was read at a time (ISO 8601) or later; all for ''."""
        return self._select("page_id, updated_at", Filter(state="ok"), "AND updated_at >= ?", updated_at)

    def ends_by_second(self) -> list[tuple[str, int, int]]:
        """Return seconds (ISO 8601, UTC, sorted) in which pages were finished: how many ok, how many failed."""
        return self._select(
            "substr(updated_at, 1, 19) AS second, sum(state = 'ok'), sum(state = 'failed')",
            more="AND state IN ('ok', 'failed') GROUP BY second ORDER BY second",
        )

    def facts(self) -> dict[str, str]:
        """Return what the ledger says about the run as a whole."""
        return dict(self._query("SELECT name, value FROM facts"))

    def _select(
        self, what: str, chosen: Filter = EVERY_PAGE, more: str = "", *values: str | int
    ) -> list[tuple[Any, ...]]:
        where, known = chosen.where()
        return self._query(f"SELECT {what} FROM pages WHERE {where} {more}", [*known, *values])  # noqa: S608 - all text is from this file

    def _query(self, question: str, values: Sequence[str | int] = ()) -> list[tuple[Any, ...]]:
        """Open the ledger for one query (0.2 ms): a reader that stays would keep a run from checkpointing its log."""
        # SQLite would put two files beside a ledger that no run is writing, unless it is opened as immutable.
        at_rest = not self._path.with_name(self._path.name + "-wal").exists()
        uri = f"{self._path.absolute().as_uri()}?mode=ro{'&immutable=1' if at_rest else ''}"
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            return connection.execute(question, values).fetchall()
