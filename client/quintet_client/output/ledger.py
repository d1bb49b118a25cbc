"""The ledger: one row a page in SQLite, so that a run can be killed at any moment and continued.

States: pending (to do), sent (a request was made; after a crash the same as pending), ok (its output file is in place),
failed. WAL with synchronous=NORMAL: a killed process loses nothing that was committed; a power cut may lose the last
commits, whose pages are then read again, to the same bytes.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import starmap
from pathlib import Path
from typing import NamedTuple, Self

from quintet_client.errors import OutputUnwritableError
from quintet_client.input.page_ids import document_of, page_place
from quintet_client.service.page import FileStamp

SCHEMA_VERSION = 1
_AS_A_REMEDY = "give another OUTPUT, or --overwrite to set it aside and start anew"
# Of SQLite's primary codes: a table or column is missing (all our statements are fixed), pages are torn, no database.
_DAMAGED = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pages (
  page_id TEXT PRIMARY KEY,
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'ok', 'failed')),
  tries INTEGER NOT NULL DEFAULT 0,
  code TEXT NOT NULL DEFAULT '',
  message TEXT NOT NULL DEFAULT '',
  size_bytes INTEGER NOT NULL DEFAULT -1,
  mtime_ns INTEGER NOT NULL DEFAULT -1,
  output_bytes INTEGER NOT NULL DEFAULT -1,
  request_id TEXT NOT NULL DEFAULT '',
  updated_at TEXT NOT NULL
) WITHOUT ROWID;
"""


class UnusableLedgerError(OutputUnwritableError):
    """The ledger is damaged, or of another version; `quintet read --overwrite` sets it aside."""


class Row(NamedTuple):
    """What the ledger knows of a page."""

    page_id: str
    state: str  # pending, sent, ok or failed
    tries: int = 0  # used up by the last run that read it
    code: str = ""  # of a failure, like the message
    message: str = ""
    size_bytes: int = -1  # of the source file when it was read; -1 if unknown, like its modification time
    mtime_ns: int = -1
    output_bytes: int = -1  # of the output file; -1 without one
    request_id: str = ""  # the server's log has it, for the last request

    @property
    def stamp(self) -> FileStamp:
        """The state of the source file when it was read."""
        return FileStamp(self.size_bytes, self.mtime_ns)


class Ended(NamedTuple):
    """An item that came to its end."""

    row: Row
    model: str = ""  # fingerprint of what read it, like the result
    document: bytes = b""  # as canonical JSON; empty if it failed

    @property
    def size_bytes(self) -> int:
        """What it takes of the memory, about."""
        return len(self.document) + 512


_COLUMNS = ", ".join(Row._fields)
_SELECT = f"SELECT {_COLUMNS} FROM pages"  # noqa: S608 - a constant of this file
_BY_DOCUMENT = "ORDER BY document(page_id), number(page_id), page_id"
UPSERT = f"INSERT OR REPLACE INTO pages ({_COLUMNS}, updated_at) VALUES (?{', ?' * len(Row._fields)})"  # noqa: S608


class Ledger:
    """One connection to the ledger of one OUTPUT; belongs to the thread that opened it."""

    _more_schema = ""  # of derived classes

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._connection.executescript(self._more_schema)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open or make the ledger.

        Raises:
            UnusableLedgerError: it is damaged, or of another version; also while it is open.
            OutputUnwritableError: it cannot be read or written.
        """
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.create_function("document", 1, document_of, deterministic=True)
                connection.create_function("number", 1, _number_of, deterministic=True)
                _prepare(connection, path)
                yield cls(connection)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                raise UnusableLedgerError(f"{path} is damaged ({error}); {_AS_A_REMEDY}") from error
            raise OutputUnwritableError(f"{path}: {error}; free space or give another OUTPUT") from error

    def check(self) -> None:
        """Read the ledger through; raises UnusableLedgerError if a part of it is damaged."""
        (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise UnusableLedgerError(f"the ledger is damaged ({found}); {_AS_A_REMEDY}")

    def find(self, page_id: str) -> Row | None:
        """Return what is known of a page."""
        return next(self._select("WHERE page_id = ?", page_id), None)

    def rows(self, state: str) -> Iterator[Row]:
        """All rows in a state, sorted by id."""
        return self._select("WHERE state = ? ORDER BY page_id", state)

    def all_rows(self) -> Iterator[Row]:
        """All rows, sorted by id."""
        return self._select("ORDER BY page_id")

    def rows_by_document(self) -> Iterator[Row]:
        """All rows, sorted by document and page; SQLite sorts many of them on disk."""
        return self._select(_BY_DOCUMENT)

    def count_documents(self) -> int:
        """Return how many documents there are."""
        (count,) = self._connection.execute("SELECT count(DISTINCT document(page_id)) FROM pages").fetchone()
        return int(count)

    def rows_of(self, name: str) -> list[Row]:
        """Return the rows of a file: its own, and those of its pages `<name>#…`, sorted by document and page."""
        among = f"WHERE page_id = ? OR (page_id > ? AND page_id < ?) {_BY_DOCUMENT}"
        return list(self._select(among, name, name + "#", name + "$"))  # "$" comes after "#"

    def updated_at(self, page_id: str) -> str:
        """Return when a page's row was last written (ISO 8601, UTC); empty if there is none."""
        found = self._connection.execute("SELECT updated_at FROM pages WHERE page_id = ?", (page_id,)).fetchone()
        return str(found[0]) if found else ""

    def record(self, rows: Iterable[Row], model: str | None = None) -> None:
        """Write rows, and the model fingerprint if given, in one transaction."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            if model is not None:
                self.note("model", model)
            self._connection.executemany(UPSERT, ((*row, now) for row in rows))

    def fact(self, name: str) -> str | None:
        """Return what was noted.

        That is `model`, `served_model`, `leave_out`, `dpi`, `inputs`, when the last run `started_at`, or a document
        cut short.
        """
        found = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else None

    def note(self, name: str, value: str) -> None:
        """Note something about the results as a whole."""
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def model(self) -> str | None:
        """Return the fingerprint of the model that made the results so far."""
        return self.fact("model")

    def inputs(self) -> list[str]:
        """Return what `add_input` noted."""
        return [str(path) for path in json.loads(self.fact("inputs") or "[]")]

    def add_input(self, path: str) -> None:
        """Note where pages were read from; the latest last."""
        self.note("inputs", json.dumps([*(earlier for earlier in self.inputs() if earlier != path), path]))

    def remove(self, page_ids: Iterable[str]) -> None:
        """Forget pages."""
        self._connection.executemany("DELETE FROM pages WHERE page_id = ?", ((page_id,) for page_id in page_ids))

    def forget(self) -> None:
        """Empty the ledger."""
        self._connection.executescript("BEGIN IMMEDIATE; DELETE FROM pages; DELETE FROM facts; COMMIT;")

    def _select(self, which: str, *values: str) -> Iterator[Row]:
        return starmap(Row, self._connection.execute(f"{_SELECT} {which}", values))


def _number_of(page_id: str) -> int:
    return page_place(page_id)[1]


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA busy_timeout = 10000")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, SCHEMA_VERSION):
        raise UnusableLedgerError(
            f"{path} has version {version}, this client writes {SCHEMA_VERSION}: upgrade it, {_AS_A_REMEDY}"
        )
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
