"""What is still to do: the pages of the sources beside the ledger of earlier runs."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from quintet_client.errors import UsageError
from quintet_client.input.documents.renderer import Renderer
from quintet_client.input.page_ids import document_of, page_id_in, page_place
from quintet_client.input.paging import has_pages, pages_of
from quintet_client.input.sources import TIFF_EXTENSIONS, Source
from quintet_client.output.folder import Output
from quintet_client.output.ledger import Ledger, Row
from quintet_client.run.settings import ReadSettings
from quintet_client.service.page import UNKNOWN


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Attributes:
        inputs: how many pages there are.
        todo: the pages to read.
        skipped_ok: how many inputs were read by an earlier run and still have their answer.
        skipped_failed: how many inputs failed in an earlier run.
        model: fingerprint of the earlier results; None if there are none.
    """

    inputs: int
    todo: Sequence[Source]
    skipped_ok: int
    skipped_failed: int
    model: str | None


def make_plan(files: Sequence[Source], output: Output, settings: ReadSettings) -> Plan:
    """Decide which pages are to be read, and enter those in the ledger as pending.

    Pages that a document has no longer are forgotten, with their answers.

    Args:
        files: all files of INPUT.
        output: the claimed OUTPUT.
        settings: whether to read failed pages again or to start anew, how many, and at which resolution.

    Raises:
        OutputUnwritableError: the ledger or an answer cannot be written.
        UsageError: pages of PDFs were read at another resolution.
    """
    with Ledger.open(output.ledger) as ledger, closing(Renderer()) as renderer:
        return _Planner(ledger, output, settings, renderer).plan(files)


@dataclass(frozen=True, slots=True)
class _Planner:
    ledger: Ledger
    output: Output
    settings: ReadSettings
    renderer: Renderer

    def plan(self, files: Sequence[Source]) -> Plan:
        if self.settings.overwrite:
            self._start_anew()
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
        return Plan(len(sources), todo, skipped["ok"], skipped["failed"], self.ledger.model())

    def _start_anew(self) -> None:
        for row in self.ledger.rows("ok"):
            self.output.remove_page(row.page_id)
        self.ledger.forget()

    def _pages(self, files: Sequence[Source]) -> Iterator[Source]:
        """Yield pages in the order of their files and numbers, as many as are to be read."""
        left = self.settings.limit
        for file in files:
            pages = self._pages_in(file) if has_pages(file) else [file]
            yield from pages[:left]
            if left is not None:
                left -= len(pages)
                if left <= 0:
                    return

    def _pages_in(self, file: Source) -> Sequence[Source]:
        """The pages of one file; the ledger then knows no others."""
        row = self.ledger.find(file.page_id) if file.is_pdf else None
        if row is not None and self._has_its_end(row, file):
            return [file]  # it could not be opened, and has not changed
        pages = pages_of(file, self.renderer)
        known = [row for row in self.ledger.rows_of(file.page_id) if document_of(row.page_id) == file.page_id]
        own = [row for row in known if row.page_id != file.page_id]
        if any(page.code for page in pages) and any(row.stamp == file.stamp != UNKNOWN for row in own):
            # What opens documents failed, not the document: it had these pages as it is now.
            numbers = sorted(page_place(row.page_id)[1] for row in own)
            return [file._replace(page_id=page_id_in(file.page_id, number), page=number) for number in numbers]
        self._forget({row.page_id for row in known} - {page.page_id for page in pages})
        return pages

    def _forget(self, page_ids: set[str]) -> None:
        """Remove pages that a document has no longer, with their answers."""
        for page_id in page_ids:
            self.output.remove_page(page_id)
        self.ledger.remove(page_ids)

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


def _is_of_pdf(page_id: str) -> bool:
    name, _ = page_place(page_id)
    return name != page_id and not name.lower().endswith(TIFF_EXTENSIONS)
