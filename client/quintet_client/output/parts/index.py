"""The ledger of an OUTPUT of parts, made of what they hold, with the place of each item's row."""

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from quintet_client.output.ledger import UPSERT, Ledger, Row
from quintet_client.output.parts.rows import GONE, IndexRow


class Place(NamedTuple):
    """Where the row of an item is."""

    part: str
    number: int


class PartsLedger(Ledger):
    """A ledger that knows in which part each item has its end; made again from the parts if it is lost."""

    _more_schema = """
    CREATE TABLE IF NOT EXISTS parts (name TEXT PRIMARY KEY, tag TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS places (
      page_id TEXT PRIMARY KEY, part TEXT NOT NULL, number INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS places_by_part ON places (part);
    """

    def parts(self) -> dict[str, str]:
        """The parts that were taken in, each with what told its content."""
        return dict(self._connection.execute("SELECT name, tag FROM parts"))

    def rows_of_run(self, run: int, known: Set[str]) -> dict[str, list[Row]]:
        """The rows that a run's parts hold, by part, but for parts that are known; of an item in several, the last."""
        begin, end = f"{run:05}-", f"{run:05}."  # "." comes after "-"
        found = self._connection.execute("SELECT name FROM parts WHERE name > ? AND name < ?", (begin, end))
        names = [str(name) for (name,) in found if name not in known]
        among = "JOIN places USING (page_id) WHERE part = ?"
        return {name: list(self._select(among, name)) for name in names}

    def place_of(self, page_id: str) -> Place | None:
        """Where the row of an item is that counts; None if no part holds it."""
        found = self._connection.execute("SELECT part, number FROM places WHERE page_id = ?", (page_id,)).fetchone()
        return Place(*found) if found else None

    def gone_documents(self) -> list[str]:
        """Documents that parts hold, and whose pages are all gone."""
        found = self._connection.execute("""
            SELECT document(page_id) FROM places WHERE page_id NOT IN (SELECT page_id FROM pages)
            EXCEPT SELECT document(page_id) FROM pages
        """)
        return [str(name) for (name,) in found]

    def take_in(self, name: str, tag: str, rows: Sequence[IndexRow]) -> None:
        """Enter the rows of a part, but for items that a part with a later name holds."""
        known = self._known(rows)
        new = [
            (number, found)
            for number, found in enumerate(rows)
            if (there := known.get(found.row.page_id)) is None or there <= name
        ]
        ended = [found for _number, found in new if found.row.state != GONE]
        gone = [(found.row.page_id,) for _number, found in new if found.row.state == GONE]
        model = next((found.model for found in ended if found.model), None)
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(UPSERT, ((*found.row, found.read_at) for found in ended))
            self._connection.executemany("DELETE FROM pages WHERE page_id = ?", gone)
            places = [(found.row.page_id, name, number) for number, found in new]
            self._connection.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", places)
            self._connection.execute("INSERT OR REPLACE INTO parts VALUES (?, ?)", (name, tag))
            if model is not None and self.model() is None:
                self.note("model", model)

    def note_facts(self, facts: Mapping[str, str]) -> None:
        """Note what is not known yet."""
        for name, value in facts.items():
            if self.fact(name) is None:
                self.note(name, value)

    def facts(self) -> dict[str, str]:
        """All that was noted."""
        return dict(self._connection.execute("SELECT name, value FROM facts"))

    def forget(self) -> None:
        """Empty the ledger."""
        super().forget()
        self._connection.executescript("BEGIN IMMEDIATE; DELETE FROM places; DELETE FROM parts; COMMIT;")

    def _known(self, rows: Sequence[IndexRow]) -> dict[str, str]:
        """The parts that hold the items of these rows."""
        find = "SELECT part FROM places WHERE page_id = ?"
        found = ((row.row.page_id, self._connection.execute(find, (row.row.page_id,)).fetchone()) for row in rows)
        return {page_id: there[0] for page_id, there in found if there}
