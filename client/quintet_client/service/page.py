"""A page on its way from its file to the service."""

from typing import NamedTuple


class FileStamp(NamedTuple):
    """What tells one state of a file from another; -1 where the file could not be read."""

    size_bytes: int
    mtime_ns: int


UNKNOWN = FileStamp(-1, -1)


class Extent(NamedTuple):
    """Where a page lies decoded in shared memory, in bytes from its beginning."""

    offset: int
    length: int


class Page(NamedTuple):
    """One page to be sent; a named tuple, because it crosses processes by the thousand.

    Attributes:
        page_id: its name in OUTPUT, the ledger and logs.
        body: its encoded bytes; empty if they could not be had.
        stamp: the state of the file that they were read from.
        code: why there are no bytes, as a stable code; empty if there are.
        message: the same for a person.
        extent: where it lies decoded in shared memory, if it does.
    """

    page_id: str
    body: bytes
    stamp: FileStamp = UNKNOWN
    code: str = ""
    message: str = ""
    extent: Extent | None = None
