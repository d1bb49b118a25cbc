"""What client and renderer say to each other over pipes: two lengths, a head in JSON, a body of bytes."""

import json
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from quintet_client.service.outcomes import one_line
from quintet_client.service.page import UNKNOWN, FileStamp

_LENGTHS = struct.Struct(">II")
# The service takes 64 MiB a request, the frame around the page included.
MOST_BODY_BYTES = 60 * 1024 * 1024
# A PDF may claim a million pages that it has not, and each would be a failure of its own.
MOST_PAGES = 100_000
# The numbers of so many pages, and one more.
_MOST_HEAD_BYTES = 1024 * 1024


class Answer(NamedTuple):
    """What became of a request for the numbers of a document's pages, or for one page as an encoded image.

    Attributes:
        stamp: the state of the file that was opened.
        pages: at most `MOST_PAGES` and one more.
        code: why there is none; empty if all went well.
        message: the same for a person.
        note: what is to be said of a page that was rendered all the same.
        body: the image.
    """

    stamp: FileStamp = UNKNOWN
    pages: tuple[int, ...] = ()
    code: str = ""
    message: str = ""
    note: str = ""
    body: bytes = b""


def packed(head: dict[str, Any], body: bytes = b"") -> bytes:
    """One message; undecodable bytes of file names are surrogates, which JSON has escapes for."""
    text = json.dumps(head).encode()
    return _LENGTHS.pack(len(text), len(body)) + text + body


def unpacked(take: Callable[[int], bytes], most_bytes: int = 0) -> tuple[dict[str, Any], bytes]:
    """Read one message out of `take`, which gives exactly so many bytes, or raises.

    Raises:
        ValueError: its body is longer than `most_bytes`, or its head is no JSON.
    """
    head, body = _LENGTHS.unpack(take(_LENGTHS.size))
    if head > _MOST_HEAD_BYTES or body > most_bytes:
        raise ValueError(f"a message of {head} and {body} bytes")
    return json.loads(take(head)), take(body)


def answer_packed(answer: Answer) -> bytes:
    """An answer as a message."""
    return packed(answer._replace(body=b"")._asdict() | {"body": None}, answer.body)


def answer_unpacked(take: Callable[[int], bytes]) -> Answer:
    """Read an answer, from a process that a document may have taken over.

    Raises:
        ValueError, TypeError, KeyError: it is none.
    """
    head, body = unpacked(take, MOST_BODY_BYTES)
    size_bytes, mtime_ns = head["stamp"]
    code, message, note = (one_line(head[name]) for name in ("code", "message", "note"))
    pages = tuple(map(int, head["pages"]))
    return Answer(FileStamp(int(size_bytes), int(mtime_ns)), pages, code, message, note, body)
