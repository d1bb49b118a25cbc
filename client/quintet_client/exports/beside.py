"""Exports beside the files that were read, where other programs look for them; nothing of others is written over."""

import hashlib
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from quintet_client.exports.documents import ExportError
from quintet_client.input.own_pdfs import BESIDE_SUFFIX
from quintet_client.input.regular_files import why_not
from quintet_client.input.source import PDF_EXTENSION, Source
from quintet_client.output.files import create_file, read_file, write_file
from quintet_client.output.formats import FORMATS, Format
from quintet_client.output.ledger import Ledger

# What is made of one file, without `redacted`: a photo to be published does not belong beside its original.
FORMATS_BESIDE = tuple(form.name for form in FORMATS if form.suffix and not form.whole_run)


class _WrittenLedger(Ledger):
    """The ledger, which knows too what was ever written beside a document; `--overwrite` does not forget that."""

    _more_schema = """
    CREATE TABLE IF NOT EXISTS beside (
      document TEXT NOT NULL, format TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (document, format, sha256)
    ) WITHOUT ROWID;
    """

    def written(self, name: str, form: str) -> Set[str]:
        """The digests of what was written of a document in a format."""
        found = self._connection.execute("SELECT sha256 FROM beside WHERE document = ? AND format = ?", (name, form))
        return {str(digest) for (digest,) in found}

    def add_written(self, name: str, form: str, digest: str) -> None:
        """Note what is about to be written."""
        self._connection.execute("INSERT OR IGNORE INTO beside VALUES (?, ?, ?)", (name, form, digest))


@dataclass(frozen=True, slots=True)
class BesideInput:
    """Writes exports beside the files that were read; safe to share between threads.

    A file of its name that is there already is written over only if an export of the same document wrote it, and
    nobody has changed it since: the ledger has the digests.
    """

    ledger: Path

    def write(self, form: Format, name: str, original: Source | None, content: bytes) -> None:
        """Write a document in one format, whole or not at all.

        Raises:
            ExportError: there is no folder beside its file, it cannot be written, or another file is there.
            OutputUnwritableError: the ledger cannot be written.
        """
        place = _place_of(form, original)
        digest = hashlib.sha256(content).hexdigest()
        with _WrittenLedger.open(self.ledger) as ledger:
            ours = ledger.written(name, form.name)
            ledger.add_written(name, form.name, digest)  # a client that is killed behind this has not lost its file
        try:
            there = _digest_of(place)
            if there == digest:
                return
            if there in ours:
                write_file(place.parent, place.name, content)
            elif there or not create_file(place.parent, place.name, content):
                raise ExportError(
                    f"{place} is there, and no export of this document wrote it as it is now; move it away"
                )
        except OSError as error:
            raise ExportError(f"{place} cannot be written ({why_not(error)})") from error


def _place_of(form: Format, original: Source | None) -> Path:
    """Where a document's file belongs; the original's own name is no other's."""
    if original is None:
        raise ExportError("the file it was read from is not known or not there; say where it is with --input")
    if original.is_at_address or original.part is not None:
        raise ExportError(f"it lies in {original.path}, with no folder beside it; export without --beside-input")
    path = Path(original.path)
    if form.suffix == PDF_EXTENSION:
        name = path.stem if path.suffix.lower() == PDF_EXTENSION else path.name
        return path.with_name(name + BESIDE_SUFFIX)
    return path.with_name(path.name + form.suffix)


def _digest_of(place: Path) -> str:
    """The digest of a file; empty if there is none. Raises OSError if it is no regular file, or a link."""
    try:
        return hashlib.sha256(read_file(place.parent, place.name)).hexdigest()
    except FileNotFoundError:
        return ""
