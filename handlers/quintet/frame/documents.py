"""Documents in requests: which pages are asked for, and the chain's answer to what the body is. Knows no server."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from quintet.errors import Code, Failure
from quintet.frame.chain import Chain, DocumentPage, ReadsDocuments
from quintet.frame.choices import refused
from quintet.frame.frames import DPI_HEADER, ONE_IMAGE, PAGES_HEADER, is_packed

SCHEMA = "quintet.document/1"
DEFAULT_DPI = 200  # what scanners take text in at; letters of 8 points have 22 pixels
LEAST_DPI, MOST_DPI = 36, 1200
_LAST = 999_999
# A page, such as 3, or a range: 1-10 or 5-.
PAGE_RANGE = re.compile(r"([1-9]\d{0,5})(?:(-)([1-9]\d{0,5})?)?", flags=re.ASCII)
_NUMBER = re.compile(r"\d{1,4}", flags=re.ASCII)


@dataclass(frozen=True)
class DocumentOptions:
    """What a request asks for, should its body be a document: pages by number, and their resolution."""

    first: int = 1
    last: int = _LAST
    dpi: int = DEFAULT_DPI
    is_image: bool = False  # it is one image, whatever else it may be

    @classmethod
    def asked_for(cls, headers: Mapping[str, str]) -> Self | Failure:
        """What headers say, whose names are in lower case; INVALID_PARAMETER if they are wrong, or go with a frame."""
        pages = headers.get(PAGES_HEADER.lower(), "1-").strip()
        dpi = headers.get(DPI_HEADER.lower(), str(DEFAULT_DPI)).strip()
        if is_packed(headers.get("content-type")) and PAGES_HEADER.lower() in headers:
            return refused(f"{PAGES_HEADER} does not go with a frame, whose items are images")
        if not _NUMBER.fullmatch(dpi) or not LEAST_DPI <= int(dpi) <= MOST_DPI:
            return refused(f"{DPI_HEADER} is {dpi[:40]!r}; allowed are {LEAST_DPI} to {MOST_DPI}")
        if pages == ONE_IMAGE:
            return cls(is_image=True)
        first, last = _range_of(pages)
        if first > last:
            what = f"{PAGES_HEADER} is {pages[:40]!r}"
            return refused(f"{what}; give a page, such as 3, a range, 1-10 or 5-, or {ONE_IMAGE}")
        return cls(first, last, int(dpi))


def _range_of(pages: str) -> tuple[int, int]:
    """The first and the last; of what is no range the first is behind the last."""
    found = PAGE_RANGE.fullmatch(pages)
    if not found:
        return 1, 0
    first, dash, last = found.groups()
    return int(first), int(last or (_LAST if dash else first))


@dataclass(frozen=True)
class Document:
    """A document, open."""

    page_count: int
    pages: Mapping[int, DocumentPage | Failure]  # those that are asked for by number, in order; at least one
    body: bytes


def open_document(chain: Chain, asked: DocumentOptions, body: bytes) -> Document | Failure | None:
    """The pages of a document that are asked for; None if the chain takes the body as it is."""
    found = None
    if isinstance(chain, ReadsDocuments) and not asked.is_image:
        found = chain.open_document(body, asked.first, asked.last, asked.dpi)
    if isinstance(found, Failure):
        how = f": ask for some, such as 1-10 ({PAGES_HEADER})"
        return Failure(found.code, found.message + how) if found.code is Code.DOCUMENT_TOO_LONG else found
    count, pages = found or (1, {})
    if not pages and (found or asked.first > 1):
        return refused(f"{PAGES_HEADER} begins with page {asked.first}; there {'is' if count == 1 else 'are'} {count}")
    return Document(count, pages, body) if found else None
