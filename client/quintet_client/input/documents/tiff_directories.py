"""Which images of a TIFF are pages: its directories followed from one to the next, nothing decoded.

TIFF 6.0, section 2, and BigTIFF; plain Python on a few bytes a page, so that it needs no process of its own.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from quintet_client.input.regular_files import open_regular

# Tag 254, the lowest in use and so the first of a directory. Bit 0: a smaller version of another image, bit 2: a mask.
_NEW_SUBFILE_TYPE = 254
_NO_PAGE = 1 | 4
_SHORT = 3


@dataclass(frozen=True, slots=True)
class _Layout:
    """How one file writes numbers down.

    Attributes:
        order: of bytes, as `struct` says it.
        count: how many entries a directory has.
        entry: bytes an entry.
        value_at: where an entry's value stands in it.
        offset: of the next directory.
    """

    order: str
    count: str
    entry: int
    value_at: int
    offset: str

    def number(self, form: str, content: bytes, at: int = 0) -> int:
        """One number at a place of some bytes.

        Raises:
            struct.error: there are too few.
        """
        return int(struct.unpack_from(self.order + form, content, at)[0])

    def size(self, form: str) -> int:
        """Bytes of such a number."""
        return struct.calcsize(self.order + form)


_LAYOUTS = {
    prefix: layout
    for order, mark in (("<", b"II"), (">", b"MM"))
    for prefix, layout in (
        (mark + struct.pack(order + "H", 42), _Layout(order, "H", 12, 8, "I")),
        (mark + struct.pack(order + "H", 43), _Layout(order, "Q", 20, 12, "Q")),
    )
}


def pages_of_tiff(path: str, most: int) -> tuple[int, ...]:
    """The numbers of a TIFF's images, from 1, that are pages and no thumbnails or masks.

    A chain of directories that leads out of the file has one page more at its end, which will fail when it is read:
    what is missing is not passed over.

    Args:
        path: the file.
        most: where to stop counting, a page behind.

    Returns:
        Page numbers; none if the file is no TIFF, or one whose very first directory is damaged.

    Raises:
        OSError, ValueError: the file cannot be read.
    """
    file, stamp = open_regular(path)
    with file:
        descriptor = file.fileno()
        head = os.pread(descriptor, 16, 0)
        layout = _LAYOUTS.get(head[:4])
        if layout is None:
            return ()
        pages = []
        for number, is_page in enumerate(_images(descriptor, layout, head, stamp.size_bytes), 1):
            if is_page:
                pages.append(number)
            if number > most:
                break
        return tuple(pages)


def _images(descriptor: int, layout: _Layout, head: bytes, size_bytes: int) -> Iterator[bool]:
    """Whether each image is a page."""
    seen: set[int] = set()
    try:
        at = layout.number(layout.offset, head, 4 if layout.offset == "I" else 8)
        while at and at not in seen:  # a chain that bites its tail has been followed once
            seen.add(at)
            count_size = layout.size(layout.count)
            begin = os.pread(descriptor, count_size + layout.entry, at)
            entries = layout.number(layout.count, begin)
            next_at = at + count_size + entries * layout.entry
            if not entries or next_at >= size_bytes:
                raise struct.error("the directory leads out of the file")
            is_page = not _subfile_type(layout, begin[count_size:]) & _NO_PAGE
            at = layout.number(layout.offset, os.pread(descriptor, layout.size(layout.offset), next_at))
            yield is_page
    except (struct.error, OverflowError):
        if len(seen) > 1:
            yield True


def _subfile_type(layout: _Layout, entry: bytes) -> int:
    tag, kind = layout.number("H", entry), layout.number("H", entry, 2)
    if tag != _NEW_SUBFILE_TYPE:
        return 0
    return layout.number("H" if kind == _SHORT else "I", entry, layout.value_at)
