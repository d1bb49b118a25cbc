"""OUTPUT as parts, for whoever knows it as a folder: planned, written, exported and looked at in the same way."""

import errno
import hashlib
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from quintet_client.errors import OutputUnwritableError
from quintet_client.input.addresses import Address
from quintet_client.input.finding.walk import LEDGER
from quintet_client.input.page_ids import document_of
from quintet_client.input.stores.apart import apart
from quintet_client.output.folder import Output, locked, writing
from quintet_client.output.ledger import Ended, Row, UnusableLedgerError
from quintet_client.output.parts.index import PartsLedger
from quintet_client.output.parts.place import PARTS, PartsPlace, part_name
from quintet_client.output.parts.rows import GONE, IndexRow, encode_part, read_index, read_results
from quintet_client.output.parts.writer import PartWriter

T = TypeVar("T")
# Parts whose results are kept, for the neighbours of a page that was asked for.
_KEPT_PARTS = 4
_READING_AT_A_TIME = 16
# Of items that OUTPUT shall not hold any more; in the name before all that the run writes.
_GONE_WRITER = "0"


class PartsOutput(Output):
    """One OUTPUT of parts, below a folder or an address.

    Its ledger is in the user's cache, made of the parts there are; whoever loses it, or goes on elsewhere, gets it
    again. Exports of one at an address go to a folder that is named.
    """

    in_parts = True

    def __init__(self, place: Path | Address, exports: Path | None = None) -> None:
        """Ask nothing yet; `exports` is the folder for exports of an OUTPUT at an address."""
        self.work = _work_folder(place)
        here = place if isinstance(place, Path) else exports
        super().__init__(here or self.work)
        self.place = PartsPlace(place)
        self.ledger = self.work / LEDGER
        self._gone: list[str] = []
        self._writer: PartWriter | None = None
        self._results = _Results(self.place)

    def __str__(self) -> str:
        return str(self.place.place)

    def __repr__(self) -> str:
        return f"PartsOutput({self})"

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Keep other clients on this machine out of OUTPUT meanwhile; those elsewhere are stopped by `begin`."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.work):
            yield

    def sync(self, *, forked: bool = False) -> None:
        """Take in what the ledger does not know of the parts there are.

        Args:
            forked: ask the store in a process of its own, for a process that will fork; see `input.stores`.

        Raises:
            OutputUnwritableError: the place cannot be read, or holds a part that is none.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        self._call(forked, _sync, self.ledger)

    def begin(self, *, forked: bool = False) -> int:
        """Claim a run, and write down what OUTPUT shall not hold any more; returns the run's number.

        Raises:
            OutputUnwritableError: the place cannot be written.
        """
        with PartsLedger.open(self.ledger) as ledger:
            facts = ledger.facts()
        gone, self._gone = [Ended(Row(page_id, GONE)) for page_id in self._gone], []
        run = self._call(forked, _begin, facts, gone)
        self._writer = PartWriter(self.place, run)
        return run

    def start_anew(self) -> None:
        """Remove the earlier results, and the exports that show them."""
        self._call(True, PartsPlace.clear)
        with suppress(UnusableLedgerError), PartsLedger.open(self.ledger) as ledger:
            for row in ledger.rows("ok"):
                self.remove_exports(document_of(row.page_id))
            ledger.forget()
            return
        self.ledger.unlink(missing_ok=True)

    def size_of(self, page_id: str) -> int:
        """Return the size of a page's answer in bytes, -1 if there is none."""
        with PartsLedger.open(self.ledger) as ledger:
            row = ledger.find(page_id)
            return row.output_bytes if row and ledger.place_of(page_id) else -1

    def read_page(self, page_id: str, most_bytes: int = sys.maxsize) -> bytes:
        """Return a page's answer; raises OSError if there is none, or it is longer."""
        with PartsLedger.open(self.ledger) as ledger:
            place, row = ledger.place_of(page_id), ledger.find(page_id)
        if place is None or row is None:
            raise FileNotFoundError(0, "no part holds it")
        if row.output_bytes > most_bytes:
            raise OSError(errno.EFBIG, f"{row.output_bytes} bytes; at most {most_bytes} are read")
        return self._results.get(place.part, place.number)

    def write(self, ended: Ended, then: Callable[[Row], None]) -> None:
        """Take an item's end, and call `then` with its row once it is in place."""
        assert self._writer is not None  # noqa: S101 - `begin` comes first
        self._writer.add(ended, then)

    def flush(self) -> None:
        """Put in place what waits for more."""
        if self._writer is not None:
            self._writer.flush()

    def remove_page(self, page_id: str) -> None:
        """Note that OUTPUT shall not hold a page any more, from the next `begin` on; remove the exports that show it.

        Where those of an OUTPUT at an address are is not known here: the next export removes them.
        """
        self.remove_exports(document_of(page_id))
        self._gone.append(page_id)

    def gone_documents(self) -> list[str]:
        """Documents that parts hold, and OUTPUT no more."""
        with PartsLedger.open(self.ledger) as ledger:
            return ledger.gone_documents()

    def write_account(self, report: bytes, failed: bytes) -> None:
        """Write report.json and failed.jsonl."""
        self.place.replace(self.failed.name, failed)
        self.place.replace(self.report.name, report)

    def read_report(self) -> bytes:
        """Return report.json; raises OSError if there is none."""
        try:
            return self.place.read(self.report.name)
        except OutputUnwritableError as error:
            raise FileNotFoundError(0, str(error)) from error

    def _call(self, forked: bool, work: Callable[..., T], *arguments: object) -> T:
        if forked and isinstance(self.place.place, Address):
            return apart(work, self.place, *arguments)
        return work(self.place, *arguments)


class _Results:
    """The results of the parts that were asked for last; safe to share between threads."""

    def __init__(self, place: PartsPlace) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, pa.ChunkedArray] = OrderedDict()

    def get(self, part: str, number: int) -> bytes:
        """The result of one row."""
        with self._lock:
            if part not in self._kept:
                try:
                    with self._place.open_part(part) as file:
                        self._kept[part] = read_results(file)
                except OutputUnwritableError as error:
                    raise OSError(0, str(error)) from error
            self._kept.move_to_end(part)
            while len(self._kept) > _KEPT_PARTS:
                self._kept.popitem(last=False)
            result = self._kept[part][number].as_py()
        if result is None:
            raise FileNotFoundError(0, "it failed")
        return str(result).encode()


def _begin(place: PartsPlace, facts: dict[str, str], gone: Sequence[Ended]) -> int:
    run = place.begin(facts)
    if gone:
        place.commit(part_name(run, _GONE_WRITER, 0), encode_part(gone), run)
    return run


def _sync(place: PartsPlace, ledger_path: Path) -> None:
    """Take in the parts that the ledger does not know; all of them, if one that it knows is gone or another."""
    try:
        with PartsLedger.open(ledger_path) as ledger:
            _take_in(place, ledger)
    except UnusableLedgerError:
        for path in ledger_path.parent.glob(f"{ledger_path.name}*"):
            path.unlink()
        with PartsLedger.open(ledger_path) as ledger:
            _take_in(place, ledger)


def _take_in(place: PartsPlace, ledger: PartsLedger) -> None:
    there, known = place.parts(), ledger.parts()
    if any(there.get(name) != tag for name, tag in known.items()):
        ledger.forget()
        known = {}
    if not known:
        ledger.note_facts(place.facts())
    new = [name for name in there if name not in known]
    with ThreadPoolExecutor(_READING_AT_A_TIME) as threads:
        for start in range(0, len(new), 4 * _READING_AT_A_TIME):
            some = new[start : start + 4 * _READING_AT_A_TIME]
            for name, rows in zip(some, threads.map(partial(_index_of, place), some), strict=True):
                ledger.take_in(name, there[name], rows)


def _index_of(place: PartsPlace, name: str) -> list[IndexRow]:
    try:
        with place.open_part(name) as file:
            return read_index(file)
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise OutputUnwritableError(
            f"{place.place}/{PARTS}/{name}.parquet is no part of Quintet ({error}); remove it, or give another OUTPUT"
        ) from error


def _work_folder(place: Path | Address) -> Path:
    """Where the ledger of a place is: it belongs to this user on this machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = str(place) if isinstance(place, Address) else os.path.realpath(place)
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return cache / "quintet" / digest
