"""Where the files are that were read, for outputs that show them."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from quintet_client.errors import UsageError
from quintet_client.exports.documents import Original
from quintet_client.input.page_ids import document_of
from quintet_client.input.sources import Source, find_sources
from quintet_client.run.ledger import Row


class Originals:
    """Finds files by the name of their document; looks through the inputs once, when first asked."""

    def __init__(self, inputs: Sequence[str], sources: Iterable[Source] = ()) -> None:
        """Prepare.

        Args:
            inputs: what `quintet read` was given, the latest last; those that are gone are passed over.
            sources: what is known to be there already.
        """
        self._inputs = inputs
        self._sources = sources

    def find(self, name: str, rows: Sequence[Row]) -> Original | None:
        """Return a document's file, as it was when its pages were read."""
        path = self._paths.get(name)
        return None if path is None else Original(path, rows[0].size_bytes)

    @cached_property
    def _paths(self) -> dict[str, str]:
        found: list[Source] = []
        for path in self._inputs:
            with suppress(UsageError):  # gone or unreadable by now: so are its files, which is said one by one
                found += find_sources(Path(path))
        return {document_of(source.page_id): source.path for source in (*found, *self._sources)}
