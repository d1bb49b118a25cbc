"""Many pages in one body: the framing of packed requests and their answers. docs/wire.md describes it.

Standard library alone, so that the client has the same code as the service. All integers are little-endian:

    header   magic 8 bytes | version u16 | kind u16 | count u32
    table    count times:   status u32 | length u32
    items    their bytes, back to back, in the table's order; nothing after the last

All lengths stand before the first item, so that a frame that was cut anywhere is known to be cut before an item is
looked at. Items are not aligned: they are encoded images and JSON, which nobody reads in words.

What packs raises `FrameError` where there is no item, or too many or too large ones for one frame; what unpacks or
checks, where the bytes are anything else than one whole frame of its kind.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate, pairwise

# Every answer names the server, the worker that made it, and the other workers that live beside it.
WORKERS_HEADER = "X-Quintet-Workers"
# A request names the stages that its pages are read without, separated by commas.
LEAVE_OUT_HEADER = "X-Quintet-Leave-Out"
# A request says which pages of a document are read, or that its body is one image, and at how many pixels an inch.
PAGES_HEADER = "X-Quintet-Pages"
ONE_IMAGE = "image"
DPI_HEADER = "X-Quintet-Dpi"
MEDIA_TYPE = "application/vnd.quintet.pages+binary"
# The first byte is above 127, as PNG's is: a channel that takes the frame for text damages it where it shows.
MAGIC = b"\x91QUINTET"
VERSION = 1
# More pages than this bring no more speed, and the answers to all of them wait for the last.
MAX_ITEMS = 256

_HEADER = struct.Struct("<8sHHI")
_ENTRY = struct.Struct("<II")
_SLICE = struct.Struct("<16sQQ")
_U32 = 2**32
_IS_SLICE = 1


class Kind(IntEnum):
    """What a frame's items are. A server refuses kinds it does not know."""

    PAGES = 1
    ANSWERS = 2
    SLICES = 3
    BUFFERS = 4  # the question where shared buffers are taken
    LIMITS = 5  # the question what the service takes


@dataclass(frozen=True, slots=True)
class BufferSlice:
    """Where a page lies in memory that client and service share."""

    buffer: bytes  # the buffer's name, 16 bytes
    offset: int  # bytes from the buffer's first
    length: int  # bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one page: the status and body that it would have been answered with in a request of its own."""

    status: int
    body: bytes


class FrameError(ValueError):
    """The bytes are no frame of this version and kind: says what was found and what is allowed."""


def is_packed(content_type: str | None) -> bool:
    """Whether a Content-Type header announces a frame."""
    return (content_type or "").partition(";")[0].strip().lower() == MEDIA_TYPE


def kind_of(frame: bytes | bytearray) -> int:
    """The kind that a frame's header names; 0 if it is too short to name one. Nothing is checked."""
    return int(_HEADER.unpack_from(frame)[2]) if len(frame) >= _HEADER.size else 0


def pack_pages(bodies: Sequence[bytes]) -> bytes:
    """Frame the bodies of a request; an empty one is a page without bytes."""
    return _pack(Kind.PAGES, [Answer(0, body) for body in bodies])


def unpack_pages(frame: bytes | bytearray) -> list[bytes]:
    """Undo `pack_pages`."""
    items = _unpack(Kind.PAGES, frame)
    if any(item.status for item in items):
        raise FrameError("a page has a status; pages have status 0")
    return [item.body for item in items]


def pack_slices(pages: Sequence[bytes | BufferSlice]) -> bytes:
    """Frame the pages of a request, those in shared memory by their slices, the others as they are."""
    items = [
        Answer(_IS_SLICE, _SLICE.pack(page.buffer, page.offset, page.length))
        if isinstance(page, BufferSlice)
        else Answer(0, page)
        for page in pages
    ]
    return _pack(Kind.SLICES, items)


def unpack_slices(frame: bytes | bytearray) -> list[bytes | BufferSlice]:
    """Undo `pack_slices`; whether there is anything in a slice is for others to say."""
    return [_page_or_slice(item) for item in _unpack(Kind.SLICES, frame)]


def pack_question(kind: Kind) -> bytes:
    """Frame a question; it has one empty item, for the one answer."""
    return _pack(kind, [Answer(0, b"")])


def check_question(kind: Kind, frame: bytes | bytearray) -> None:
    """Make sure that a frame is that question."""
    if _unpack(kind, frame) != [Answer(0, b"")]:
        raise FrameError("a frame of this kind has one item, which is empty")


def pack_answers(answers: Sequence[Answer]) -> bytes:
    """Frame the answers to the pages of one request, in their order."""
    return _pack(Kind.ANSWERS, answers)


def unpack_answers(frame: bytes | bytearray) -> list[Answer]:
    """Undo `pack_answers`."""
    return _unpack(Kind.ANSWERS, frame)


def _pack(kind: Kind, items: Sequence[Answer]) -> bytes:
    _check_count(len(items))
    if max(len(item.body) for item in items) >= _U32:
        raise FrameError(f"an item has {_U32} bytes or more; send it in a request of its own")
    table = b"".join(_ENTRY.pack(item.status, len(item.body)) for item in items)
    return b"".join([_HEADER.pack(MAGIC, VERSION, kind, len(items)), table, *(item.body for item in items)])


def _unpack(kind: Kind, frame: bytes | bytearray) -> list[Answer]:
    count = _read_header(kind, frame)
    start = _HEADER.size + count * _ENTRY.size
    if len(frame) < start:
        raise FrameError(f"the frame is cut: {len(frame)} bytes do not hold the table of {count} items")
    view = memoryview(frame)
    table = list(_ENTRY.iter_unpack(view[_HEADER.size : start]))
    ends = list(accumulate((length for _status, length in table), initial=start))
    if len(frame) != ends[-1]:
        raise FrameError(f"the frame has {len(frame)} bytes; its table announces {ends[-1]}")
    return [
        Answer(status, bytes(view[begin:end]))
        for (status, _length), (begin, end) in zip(table, pairwise(ends), strict=True)
    ]


def _read_header(kind: Kind, frame: bytes | bytearray) -> int:
    """The number of items, after everything before it has been checked."""
    if len(frame) < _HEADER.size:
        raise FrameError(f"the frame is cut: {len(frame)} bytes are less than a header of {_HEADER.size}")
    magic, version, found, count = _HEADER.unpack_from(frame)
    if magic != MAGIC:
        raise FrameError(f"the body does not begin with {MAGIC!r}: send a frame, or one image as octet-stream")
    if (version, found) != (VERSION, kind):
        raise FrameError(f"the frame has version {version} and kind {found}; expected are {VERSION} and {int(kind)}")
    _check_count(count)
    return int(count)


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_ITEMS:
        raise FrameError(f"the frame has {count} items; allowed are 1 to {MAX_ITEMS}")


def _page_or_slice(item: Answer) -> bytes | BufferSlice:
    if item.status == 0:
        return item.body
    if item.status != _IS_SLICE or len(item.body) != _SLICE.size:
        raise FrameError(
            f"an item has status {item.status} and {len(item.body)} bytes; a slice has {_IS_SLICE} and {_SLICE.size}"
        )
    return BufferSlice(*_SLICE.unpack(item.body))
