"""The pages of one document in order, each with its result or why it has none."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from quintet_client.api.results import Line, PageResult, page_of
from quintet_client.errors import PageError, QuintetError
from quintet_client.input.page_ids import document_of, page_place
from quintet_client.input.regular_files import why_not
from quintet_client.output.folder import Output
from quintet_client.output.ledger import Row
from quintet_client.service.documents import PAGE_SCHEMA, check_answer, parsed

# What XML 1.0 cannot hold even escaped, plus the C1 controls that it discourages and the non-characters.
_FORBIDDEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


class ExportError(QuintetError):
    """One document cannot be made in one format; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """One page of a document."""

    page_id: str
    number: int  # from 1
    state: str  # ok, failed or pending
    page: PageResult | None = None  # its texts clean; None unless it is ok, and of quintet.page/1
    code: str = ""  # why there is no result, like the message
    message: str = ""
    schema: str = ""  # of its result; empty unless it is ok
    answer: bytes = b""  # that result, as the service gave it


@dataclass(frozen=True, slots=True)
class Document:
    """What becomes one file a format."""

    name: str  # the id of the file that was read
    pages: tuple[DocumentPage, ...]  # at least one, in order
    original: Callable[[], bytes] | None = None  # reads that file; None if it is unknown or no format needs it
    original_bytes: int = -1  # its size when it was read, -1 if unknown
    original_mtime_ns: int = -1  # the time of its last change then, -1 if unknown
    read_at: str = ""  # when the last of its pages was read (ISO 8601, UTC)
    passwords: Sequence[str] = field(default=(), repr=False)  # of PDFs, for one that needs one

    @property
    def has_pages_of_its_own(self) -> bool:
        """Whether the file is a document with numbered pages, not an image."""
        return document_of(self.pages[0].page_id) != self.pages[0].page_id

    @property
    def state(self) -> str:
        """What there is to show: "read", "unread" (no page was read) or "pending" (a page has no end yet)."""
        states = {page.state for page in self.pages}
        return "pending" if "pending" in states else "read" if "ok" in states else "unread"

    @property
    def models(self) -> list[str]:
        """The models that read its pages."""
        return sorted({page.page.model for page in self.pages if page.page is not None})


Rows = tuple[str, tuple[Row, ...]]


def in_documents(rows: Iterable[Row]) -> Iterator[Rows]:
    """Group rows that the ledger gives sorted by document and page."""
    for name, group in groupby(rows, key=lambda row: document_of(row.page_id)):
        yield name, tuple(group)


def have_ended(rows: Sequence[Row]) -> bool:
    """Whether all pages of a document are read or failed."""
    return all(row.state in {"ok", "failed"} for row in rows)


def load_page(row: Row, output: Output) -> DocumentPage:
    """Read a page's result back, if it has one.

    A result that is missing or cut short (see `output.folder`) makes the page pending: `quintet read` reads it again.
    One that is whole, but not of the form that its schema promises, makes it failed.
    """
    number = page_place(row.page_id)[1]
    if row.state == "failed":
        return DocumentPage(row.page_id, number, "failed", None, clean(row.code), clean(row.message))
    with suppress(OSError):
        if row.state == "ok" and len(answer := output.read_page(row.page_id)) == row.output_bytes:
            try:
                return _read(row.page_id, number, answer)
            except PageError as error:
                return DocumentPage(row.page_id, number, "failed", None, error.code, clean(error.message))
    return DocumentPage(row.page_id, number, "pending")


def original_body(document: Document) -> bytes:
    """The file that a document was read from; raises ExportError if it is missing, or not what was read."""
    if document.original is None:
        raise ExportError("the file it was read from is not known or not there; say where it or a copy is with --input")
    try:
        body = document.original()
    except (OSError, ValueError) as error:
        raise ExportError(f"its file cannot be read ({why_not(error)}); say where it is with --input") from error
    if document.original_bytes not in {-1, len(body)}:
        raise ExportError(f"its file has {len(body)} bytes, {document.original_bytes} were read; read it again")
    return body


def _read(page_id: str, number: int, answer: bytes) -> DocumentPage:
    try:
        document = parsed(answer)
        if document.get("schema") == PAGE_SCHEMA:
            return DocumentPage(page_id, number, "ok", clean_page(document), schema=PAGE_SCHEMA, answer=answer)
        check_answer(document)
    except ValueError as error:
        raise PageError("BAD_ANSWER", f"the result is not as documented: {error}") from error
    return DocumentPage(page_id, number, "ok", schema=document["schema"], answer=answer)


def clean_page(document: Mapping[str, Any]) -> PageResult:
    """Turn a result into a typed page whose texts every format can hold; raises PageError if it is no page."""
    page = page_of(document)
    regions = tuple(replace(region, label=clean(region.label)) for region in page.regions)
    lines = tuple(_clean_line(line, len(regions)) for line in page.lines)
    model = clean(str(document.get("model", "")))
    text = "\n".join(line.text for line in lines)
    return replace(page, model=model, regions=regions, lines=lines, text=text)


def _clean_line(line: Line, regions: int) -> Line:
    """A line whose words are those of its text; without words if they are others."""
    text = clean(line.text)
    words = tuple(replace(word, text=clean(word.text)) for word in line.words)
    same = [word.text for word in words] == text.split()
    region = line.region if line.region in range(regions) else None
    return replace(line, text=text, words=words if same else (), region=region)


def clean(text: str) -> str:
    """Make one line of a text: white space runs become one space, what no format can hold becomes U+FFFD.

    All formats clean alike, so that they agree with each other word by word.
    """
    return " ".join(_FORBIDDEN.sub("\ufffd", text).split())
