"""What is still to do: the pages of the sources beside the ledger of earlier runs."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from quintet_client.errors import UsageError
from quintet_client.input.documents.renderer import Renderer
from quintet_client.input.page_ids import document_of, page_id_in, page_place
from quintet_client.input.paging import has_pages, pages_of
from quintet_client.input.sources import TIFF_EXTENSIONS, Source
from quintet_client.run.ledger import Ledger, Row
from quintet_client.run.output import Output
from quintet_client.run.settings import ReadSettings
from quintet_client.service.page import UNKNOWN, FileStamp


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
    with Ledger.open(output.ledger) as ledger:
        if settings.overwrite:
            _start_anew(ledger, output)
        sources = list(_pages(files, ledger, output, settings))
        if any(source.is_pdf and source.page for source in sources):
            _claim_dpi(ledger, settings.dpi)
        skipped = {"ok": 0, "failed": 0}
        todo = []
        for source in sources:
            row = ledger.find(source.page_id)
            if row is not None and _has_its_end(row, source, output, retry_failed=settings.retry_failed):
                skipped[row.state] += 1
            else:
                todo.append(source)
        ledger.record(Row(source.page_id, "pending") for source in todo)
        return Plan(len(sources), todo, skipped["ok"], skipped["failed"], ledger.model())


def _pages(files: Sequence[Source], ledger: Ledger, output: Output, settings: ReadSettings) -> Iterator[Source]:
    """Yield pages in the order of their files and numbers, as many as are to be read."""
    left = settings.limit
    with closing(Renderer()) as renderer:
        for file in files:
            pages = _pages_in(file, ledger, output, renderer, settings) if has_pages(file) else [file]
            yield from pages[:left]
            if left is not None:
                left -= len(pages)
                if left <= 0:
                    return


def _pages_in(
    file: Source, ledger: Ledger, output: Output, renderer: Renderer, settings: ReadSettings
) -> Sequence[Source]:
    """The pages of one file; the ledger then knows no others."""
    row = ledger.find(file.page_id) if file.is_pdf else None
    if row is not None and _has_its_end(row, file, output, retry_failed=settings.retry_failed):
        return [file]  # it could not be opened, and has not changed
    pages = pages_of(file, renderer)
    known = [row for row in ledger.rows_of(file.page_id) if document_of(row.page_id) == file.page_id]
    if any(page.code for page in pages) and any(_is_of_present_state(row, file) for row in known):
        # What opens documents failed, not the document: it had these pages as it is now.
        numbers = sorted(page_place(row.page_id)[1] for row in known if row.page_id != file.page_id)
        return [Source(page_id_in(file.page_id, number), file.path, file.stamp, number) for number in numbers]
    _forget(known, pages, ledger, output)
    return pages


def _forget(known: Sequence[Row], pages: Sequence[Source], ledger: Ledger, output: Output) -> None:
    """Remove pages that a document has no longer, with their answers."""
    present = {page.page_id for page in pages}
    gone = [row.page_id for row in known if row.page_id not in present]
    for page_id in gone:
        output.remove_page(page_id)
    ledger.remove(gone)


def _is_of_present_state(row: Row, file: Source) -> bool:
    """Whether a row is of a page of a document as it is now."""
    return row.page_id != file.page_id and FileStamp(row.size_bytes, row.mtime_ns) == file.stamp != UNKNOWN


def _claim_dpi(ledger: Ledger, dpi: int) -> None:
    """Make sure that pages of PDFs may stand beside the earlier ones: lines are given in pixels.

    Raises:
        UsageError: some were read at another resolution.
    """
    earlier = ledger.dpi()
    if earlier not in {None, dpi} and any(_is_of_pdf(row.page_id) for row in ledger.rows("ok")):
        raise UsageError(
            f"OUTPUT holds pages of PDFs read at --dpi {earlier}, this run has --dpi {dpi}; give the same, "
            "another OUTPUT, or --overwrite to start anew"
        )
    ledger.note_dpi(dpi)


def _is_of_pdf(page_id: str) -> bool:
    name, _ = page_place(page_id)
    return name != page_id and not name.lower().endswith(TIFF_EXTENSIONS)


def _start_anew(ledger: Ledger, output: Output) -> None:
    for row in ledger.rows("ok"):
        output.remove_page(row.page_id)
    ledger.forget()


def _has_its_end(row: Row, source: Source, output: Output, *, retry_failed: bool) -> bool:
    """Whether the page needs no reading: its end is known, its file unchanged, its answer whole."""
    if row.state not in ("ok", "failed") or FileStamp(row.size_bytes, row.mtime_ns) != source.stamp:
        return False
    if row.state == "failed":
        return not retry_failed
    return output.size_of(row.page_id) == row.output_bytes
