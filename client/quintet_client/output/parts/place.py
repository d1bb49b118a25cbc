"""Where parts are: a folder or an address, in which whole files are made once, by whoever comes first."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from quintet_client.errors import OutputUnwritableError, QuintetError
from quintet_client.input.addresses import Address
from quintet_client.input.stores import writing
from quintet_client.output.files import create_file, names_below, open_file, read_file, remove_file, write_file

PARTS, RUNS = "parts", "runs"
_SUFFIX = ".parquet"


class SupersededError(OutputUnwritableError):
    """Another run has begun to write OUTPUT."""


@dataclass(frozen=True, slots=True)
class PartsPlace:
    """An OUTPUT of parts, as whoever writes or reads it sees it; goes to other processes and machines.

    All methods raise OutputUnwritableError if the folder or the store does not do what is asked.
    """

    place: Path | Address

    def begin(self, facts: Mapping[str, str]) -> int:
        """Claim the next number of a run; the runs of all machines have different ones."""
        number = max(self._runs(), default=0)
        content = {"started_at": datetime.now(UTC).isoformat(timespec="milliseconds"), "facts": dict(facts)}
        while True:
            number += 1
            if self._create(_run_path(number), json.dumps(content, indent=2).encode() + b"\n"):
                return number

    def facts(self) -> dict[str, str]:
        """What runs noted about the results as a whole; of the later ones what they say differently."""
        known: dict[str, str] = {}
        for number in sorted(self._runs()):
            known |= json.loads(self.read(_run_path(number)))["facts"]
        return known

    def commit(self, name: str, content: bytes, run: int) -> bool:
        """Put a part in place; returns False if one of that name is there, with another content.

        Raises:
            SupersededError: a later run has begun, and reads what this one has not committed.
        """
        if self._exists(_run_path(run + 1)):
            raise SupersededError(f"another client has begun to write {self.place}; this one ends")
        path = f"{PARTS}/{name}{_SUFFIX}"
        # A store may have taken it, and the answer been lost on its way: then it is there already.
        return self._create(path, content) or self.read(path) == content

    def parts(self) -> dict[str, str]:
        """The names of all parts, each with what tells one content from another."""
        found = self._names(PARTS)
        return {name.removesuffix(_SUFFIX): tag for name, tag in sorted(found.items()) if name.endswith(_SUFFIX)}

    def open_part(self, name: str) -> BinaryIO:
        """Open a part."""
        path = f"{PARTS}/{name}{_SUFFIX}"
        with self._asking():
            if isinstance(self.place, Address):
                return writing.open_object(self._address(path))
            return open_file(self.place, path)

    def replace(self, name: str, content: bytes) -> None:
        """Write a file that may be there, such as report.json."""
        with self._asking():
            if isinstance(self.place, Address):
                writing.replace_object(self._address(name), content)
            else:
                write_file(self.place, name, content)

    def read(self, name: str) -> bytes:
        """Read a file whole."""
        with self._asking():
            if isinstance(self.place, Address):
                return writing.read_object(self._address(name))
            return read_file(self.place, name)

    def clear(self) -> None:
        """Remove all parts, the latest first: what is left meanwhile is what OUTPUT held earlier."""
        paths = [f"{PARTS}/{name}{_SUFFIX}" for name in reversed(self.parts())]
        with self._asking():
            if isinstance(self.place, Address):
                writing.remove_objects([self._address(path) for path in paths])
            else:
                for path in paths:
                    remove_file(self.place, path)

    def _runs(self) -> Iterator[int]:
        return (int(name[:-5]) for name in self._names(RUNS) if name.endswith(".json") and name[:-5].isdecimal())

    def _create(self, path: str, content: bytes) -> bool:
        with self._asking():
            if isinstance(self.place, Address):
                return writing.create_object(self._address(path), content)
            return create_file(self.place, path, content)

    def _exists(self, path: str) -> bool:
        with self._asking():
            if isinstance(self.place, Address):
                return writing.object_exists(self._address(path))
            return (self.place / path).is_file()

    def _names(self, folder: str) -> dict[str, str]:
        with self._asking():
            if isinstance(self.place, Address):
                return writing.list_below(self._address(folder))
            return names_below(self.place, folder)

    def _address(self, path: str) -> Address:
        assert isinstance(self.place, Address)  # noqa: S101 - the callers have looked
        return self.place._replace(key=f"{self.place.key}/{path}".lstrip("/"))

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn what a folder or a store says into an error about OUTPUT."""
        try:
            yield
        except OSError as error:
            raise OutputUnwritableError(f"{self.place}: {error.strerror or error}") from error
        except OutputUnwritableError:
            raise
        except QuintetError as error:
            raise OutputUnwritableError(f"OUTPUT: {error}") from error


def _run_path(number: int) -> str:
    return f"{RUNS}/{number:05}.json"


def part_name(run: int, writer: str, number: int) -> str:
    """The name of a part: of an item in several parts, the one whose name comes last counts."""
    return f"{run:05}-{writer}-{number:06}"
