"""`dolma`: the documents of a run for builders of text corpora.

The fields are those of Dolma's toolkit (docs/data-format.md there). `attributes.pdf_page_numbers` and the metadata
`Source-File` and `pdf-total-pages` are those of olmOCR, whose viewer reads them.
"""

import gzip
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from quintet_client.exports.documents import Document, DocumentPage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write(documents: Iterable[Document], file: BinaryIO) -> None:
    """Write document by document, gzipped without name and time, so that equal documents give equal bytes."""
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed:
        for document in documents:
            packed.write(json.dumps(_record(document), ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def _record(document: Document) -> dict[str, Any]:
    text, spans = _joined(document.pages)
    created = _EPOCH + timedelta(microseconds=document.original_mtime_ns // 1000)
    return {
        "id": document.name,
        "text": text,
        "source": "quintet",
        "added": _timestamp(datetime.fromisoformat(document.read_at)),
        **({} if document.original_mtime_ns == -1 else {"created": _timestamp(created)}),
        # Types do not depend on the document, and lists are never empty: readers infer types from the first documents.
        "metadata": {
            "Source-File": document.name,
            "pdf-total-pages": len(document.pages),
            "failed_pages": sum(page.state == "failed" for page in document.pages),
            "page_codes": [page.code for page in document.pages],
            "models": document.models,
            "score": _score(document.pages),
        },
        # Spans alone: Dolma's reader takes no other attributes.
        "attributes": {"pdf_page_numbers": spans},
    }


def _joined(pages: Sequence[DocumentPage]) -> tuple[str, list[list[int]]]:
    """The pages' texts, each on lines of its own, and [begin, end, page number] of each, in characters."""
    parts, spans, end = list[str](), list[list[int]](), 0
    for page in pages:
        text = page.page.text if page.page is not None else ""
        between = "\n" if text and end else ""
        begin = end + len(between)
        end = begin + len(text)
        parts += between, text
        spans.append([begin, end, page.number])
    return "".join(parts), spans


def _score(pages: Sequence[DocumentPage]) -> float | None:
    """The mean probability of all characters; None if there are none."""
    lines = [line for page in pages if page.page is not None for line in page.page.lines]
    characters = sum(len(line.text) for line in lines)
    return round(sum(line.score * len(line.text) for line in lines) / characters, 4) if characters else None


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
