"""What a reader does, and the one that a row names: its module is imported only where it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from quintet_client.output.folder import write_atomically

WARM_PAGES = 2


class Reader(Protocol):
    """Reads pages into a folder, in this process."""

    def warm_up(self, pages: Sequence[Path]) -> str:
        """Load and compile whatever the first page would otherwise wait for; returns notes for the table."""

    def read(self, pages: Sequence[Path], output: Path) -> dict[str, Any]:
        """Read the pages once; returns details, JSON-ready."""


def make_reader(options: Mapping[str, Any]) -> Reader:
    """The reader that a row's options describe.

    Raises:
        ImportError: a package of it is not installed.
    """
    rest = {key: value for key, value in options.items() if key != "reader"}
    reader: Reader = import_module(f"{__package__}.{options['reader']}").make(**rest)
    return reader


def write_result(output: Path, page: str, result: Mapping[str, Any]) -> None:
    """One result where the bulk client would put it, in the way in which it would."""
    document = json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()
    write_atomically(output / "pages" / f"{page}.json", document)
