"""What is still to do: the pages of the sources beside the ledger of earlier runs."""

import logging
import os
from collections.abc import Iterator, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from quintet.errors import Code

from quintet_client.errors import UsageError
from quintet_client.input.addresses import is_address, was_address
from quintet_client.input.documents.messages import Answer
from quintet_client.input.documents.renderer import Renderer
from quintet_client.input.finding.selection import Selection
from quintet_client.input.page_ids import document_of, is_shortened, page_id_in, page_place, path_of
from quintet_client.input.paging import count_apart, has_pages, pages_of
from quintet_client.input.source import TIFF_EXTENSIONS, Source
from quintet_client.input.sources import names_files
from quintet_client.output.folder import Output
from quintet_client.output.ledger import Ledger, Row
from quintet_client.run.settings import RunSettings
from quintet_client.service.page import UNKNOWN
from quintet_client.service.transport import DEFAULT_MODEL

# Few enough that `--limit` and the first page do not wait for many documents, enough for a process of their own.
_COUNTED_TOGETHER = 64
# The ledger's note that ids of shards or manifests are in it, which are no paths.
_UNPLACED = "unplaced"
# And that hidden files were read.
_HIDDEN = "hidden"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Attributes:
        page_ids: all pages there are.
        todo: the pages to read.
        skipped_ok: how many inputs were read by an earlier run and still have their answer.
        skipped_failed: how many inputs failed in an earlier run.
        vanished: how many other pages OUTPUT holds of files that are gone.
        model: fingerprint of the earlier results; None if there are none.
    """

    page_ids: Set[str]
    todo: Sequence[Source]
    skipped_ok: int
    skipped_failed: int
    vanished: int
    model: str | None

    @property
    def inputs(self) -> int:
        """How many pages there are."""
        return len(self.page_ids)


def make_plan(files: Sequence[Source], output: Output, settings: RunSettings, passwords: Sequence[str] = ()) -> Plan:
    """Decide which pages are to be read, and enter those in the ledger as pending.

    Pages that a document has no longer are forgotten, with their answers; those of files that are gone, if asked for.

    Args:
        files: all files of INPUT.
        output: the claimed OUTPUT.
        settings: whether to read failed pages again, to prune or to start anew, how many, and at which resolution.
        passwords: of PDFs; one that failed for want of a password is opened again.

    Raises:
        OutputUnwritableError: the ledger or an answer cannot be written.
        UsageError: the results there are of another model or leave out other stages, or pages of PDFs were read at
            another resolution.
    """
    if settings.overwrite:
        output.start_anew()
    with Ledger.open(output.ledger) as ledger, closing(Renderer(passwords=passwords)) as renderer:
        return _Planner(ledger, output, settings, renderer, passwords).plan(files)


@dataclass(frozen=True, slots=True)
class _Planner:
    ledger: Ledger
    output: Output
    settings: RunSettings
    renderer: Renderer
    passwords: Sequence[str]

    def plan(self, files: Sequence[Source]) -> Plan:
        self._claim("served_model", DEFAULT_MODEL, self.settings.model, "--model")
        self._claim("leave_out", "", ",".join(sorted(set(self.settings.leave_out))), "--leave-out")
        sources = list(self._pages(files))
        if any(source.is_pdf and source.page for source in sources):
            self._claim_dpi()
        skipped, todo = {"ok": 0, "failed": 0}, []
        for source in sources:
            row = self.ledger.find(source.page_id)
            if row is not None and self._has_its_end(row, source):
                skipped[row.state] += 1
            else:
                todo.append(source)
        self.ledger.record(Row(source.page_id, "pending") for source in todo)
        vanished = self._vanished(files)
        if self.settings.prune:
            self._forget(vanished)
        left = 0 if self.settings.prune else len(vanished)
        page_ids = frozenset(source.page_id for source in sources)
        return Plan(page_ids, todo, skipped["ok"], skipped["failed"], left, self.ledger.model())

    def _vanished(self, files: Sequence[Source]) -> set[str]:
        """The pages of files that are gone from every INPUT of OUTPUT; none while an INPUT may be away itself.

        A disk that is not mounted leaves an empty folder, or none.
        """
        known = {file.page_id for file in files}
        others = {
            row.page_id: name for row in self.ledger.all_rows() if (name := document_of(row.page_id)) not in known
        }
        here = self.settings.input_place
        inputs = {*self.ledger.inputs(), here}
        if any(file.path == here for file in files if file.is_at_address) or any(map(is_address, inputs - {here})):
            return set()  # of a store, only what is below this INPUT has been looked at
        selection = self.settings.selection
        if any(file.part or file.named for file in files):
            self.ledger.note(_UNPLACED, "")
        if selection.hidden:
            self.ledger.note(_HIDDEN, "")
        is_narrower = selection.is_narrow or (not selection.hidden and self.ledger.fact(_HIDDEN) is not None)
        if is_narrower and self.ledger.fact(_UNPLACED) is not None:
            return set()  # what was left out of a shard is not known by its id
        if inputs != {here} and self.ledger.fact(_UNPLACED) is not None:
            return set()  # where an id of a shard or manifest would be below another INPUT, nobody knows
        places = map(Path, (place for place in inputs if not is_address(place)))
        roots = [place if place.is_dir() or not names_files(place) else place.parent for place in places]
        if not others or not files or any(map(_is_away, roots)):
            return set()
        names = {name for name in others.values() if not _may_be_left_out(selection, name)}
        gone = {name for name in names if all(_is_gone(root, name) for root in roots)}
        return {page_id for page_id, name in others.items() if name in gone}

    def _pages(self, files: Sequence[Source]) -> Iterator[Source]:
        """Yield pages in the order of their files and numbers, as many as are to be read."""
        left, remaining = self.settings.limit, iter(files)
        while group := list(islice(remaining, _COUNTED_TOGETHER if left is None else min(_COUNTED_TOGETHER, left))):
            for file, pages in self._counted(group):
                yield from pages[:left]
                if left is not None:
                    if _is_copied(file) and left < len(pages):
                        self.ledger.note(_cut(file), "")
                    left -= len(pages)
                    if left <= 0:
                        return

    def _counted(self, files: Sequence[Source]) -> Iterator[tuple[Source, Sequence[Source]]]:
        """Yield files with their pages; the ledger then knows no others. Documents of stores are counted together."""
        known = {file: self._pages_known(file) if has_pages(file) else [file] for file in files}
        unknown = [file for file in files if file.is_at_address and not known[file]]
        answers = dict(zip(unknown, count_apart(unknown, self.passwords), strict=True)) if unknown else {}
        for file in files:
            pages = known[file]
            yield file, pages or self._pages_in(file, answers.get(file) or self.renderer.render_source(file))

    def _pages_in(self, file: Source, answer: Answer) -> Sequence[Source]:
        """The pages of a document, as they were numbered."""
        pages = pages_of(file, answer)
        known = [row for row in self.ledger.rows_of(file.page_id) if document_of(row.page_id) == file.page_id]
        own = [row for row in known if row.page_id != file.page_id]
        if any(page.code for page in pages) and any(row.stamp == file.stamp != UNKNOWN for row in own):
            # What opens documents failed, not the document: it had these pages as it is now.
            numbers = sorted(page_place(row.page_id)[1] for row in own)
            return [file._replace(page_id=page_id_in(file.page_id, number), page=number) for number in numbers]
        self._forget({row.page_id for row in known} - {page.page_id for page in pages})
        return pages

    def _pages_known(self, file: Source) -> Sequence[Source]:
        """The pages that an earlier run found in a document that has not changed; none if it has to be opened.

        Of a PDF that could not be opened that is itself. Otherwise only what would have to be copied is not counted
        again: it is if its pages have not all come to their end, or `--limit` cut them off.
        """
        row = self.ledger.find(file.page_id) if file.is_pdf else None
        if row is not None and self._has_its_end(row, file):
            return [] if self.passwords and row.code == Code.DOCUMENT_ENCRYPTED else [file]
        if not _is_copied(file):
            return []
        rows = [row for row in self.ledger.rows_of(file.page_id) if document_of(row.page_id) == file.page_id]
        if any(row.stamp != file.stamp for row in rows) or self.ledger.fact(_cut(file)) is not None:
            return []
        if [row.page_id for row in rows] == [file.page_id]:
            return [file] if rows[0].state == "ok" else []
        numbers = sorted(page_place(row.page_id)[1] for row in rows)
        return [file._replace(page_id=page_id_in(file.page_id, number), page=number) for number in numbers]

    def _forget(self, page_ids: set[str]) -> None:
        """Remove pages with their answers."""
        for page_id in page_ids:
            self.output.remove_page(page_id)
        self.ledger.remove(page_ids)

    def _claim(self, fact: str, usual: str, value: str, option: str) -> None:
        """Make sure that the results of this run may stand beside the earlier ones, before anything is sent.

        The ledger compares fingerprints as answers come; pages that are skipped have no answer to compare.

        Args:
            fact: what the ledger calls the option.
            usual: what it is where it is not given.
            value: what it is in this run.
            option: what the command line calls it.

        Raises:
            UsageError: some pages came to their end with another value.
        """
        earlier = self.ledger.fact(fact)
        earlier = usual if earlier is None else earlier
        if earlier != value and any(row.state in {"ok", "failed"} for row in self.ledger.all_rows()):
            then, now = (f"{option} {given}" if given else f"no {option}" for given in (earlier, value))
            raise UsageError(
                f"OUTPUT holds pages read with {then}, this run has {now}; give the same, another OUTPUT, or "
                "--overwrite to start anew"
            )
        self.ledger.note(fact, value)

    def _claim_dpi(self) -> None:
        """Make sure that pages of PDFs may stand beside the earlier ones: lines are given in pixels.

        Raises:
            UsageError: some were read at another resolution.
        """
        earlier, dpi = self.ledger.fact("dpi"), str(self.settings.dpi)
        if earlier not in {None, dpi} and any(_is_of_pdf(row.page_id) for row in self.ledger.rows("ok")):
            raise UsageError(
                f"OUTPUT holds pages of PDFs read at --dpi {earlier}, this run has --dpi {dpi}; give the same, "
                "another OUTPUT, or --overwrite to start anew"
            )
        self.ledger.note("dpi", dpi)

    def _has_its_end(self, row: Row, source: Source) -> bool:
        """Whether the page needs no reading: its end is known, its file unchanged, its answer whole."""
        if row.state not in ("ok", "failed") or row.stamp != source.stamp:
            return False
        if row.state == "failed":
            return not self.settings.retry_failed
        return self.output.size_of(row.page_id) == row.output_bytes


def _is_copied(file: Source) -> bool:
    """Whether a document has to be copied to be opened."""
    return file.is_at_address or file.part is not None


def _cut(file: Source) -> str:
    """The ledger's note that not all pages of a document are in it."""
    return f"cut {file.page_id}"


def _is_away(folder: Path) -> bool:
    """Whether a folder is missing, empty or cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return not any(entries)
    except OSError:
        return True


def _is_gone(root: Path, name: str) -> bool:
    """Whether a file is surely not there any more; one whose name is shortened in its id may be, and one in a store."""
    if is_shortened(name) or was_address(Path(name)):
        return False
    try:
        os.lstat(os.path.join(root, path_of(name)))  # noqa: PTH118 - an absolute name replaces the root
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def _may_be_left_out(selection: Selection, name: str) -> bool:
    """Whether a file is none of this run's, and so may be there, by its id."""
    return is_shortened(name) or selection.leaves_out(path_of(name)) is not None


def _is_of_pdf(page_id: str) -> bool:
    name, _ = page_place(page_id)
    return name != page_id and not name.lower().endswith(TIFF_EXTENSIONS)
