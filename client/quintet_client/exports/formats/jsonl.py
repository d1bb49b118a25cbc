"""`jsonl`: every page of a run with its whole result, of whatever schema, one JSON object a line."""

import json
import re
from collections.abc import Iterable
from typing import BinaryIO

from quintet_client.exports.documents import DocumentPage, ExportError
from quintet_client.input.page_ids import document_of
from quintet_client.service.documents import parsed

# JSON may escape half a character, which UTF-8 cannot hold, and for which readers refuse the whole file.
_HALVES = re.compile("[\ud800-\udfff]")


def write(pages: Iterable[DocumentPage], file: BinaryIO) -> None:
    """Write page by page; raises ExportError at a result that JSON cannot hold, such as one with the number 1e999."""
    file.writelines(map(_line, pages))


def _line(page: DocumentPage) -> bytes:
    row = {
        "page_id": page.page_id,
        "document": document_of(page.page_id),
        "page": page.number,
        "state": page.state,
        # Never null: readers that infer types from the first pages would take a column of nulls for one of nothing.
        "code": page.code,
        "message": page.message,
        "result": parsed(page.answer) if page.answer else None,
    }
    try:
        line = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise ExportError(f"the result of {page.page_id} cannot be written as JSON: {error}") from error
    return _HALVES.sub("\ufffd", line).encode() + b"\n"
