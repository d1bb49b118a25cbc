"""A page on its way from its file to the service, and what the service takes."""

from typing import NamedTuple


class FileStamp(NamedTuple):
    """What tells one state of a file from another; -1 where the file could not be read."""

    size_bytes: int
    mtime_ns: int  # of an object in a store 63 bits of a digest of its ETag, see `input.stores.objects`


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
        document: the headers that ask for pages of a document; empty if the body is one image.
    """

    page_id: str
    body: bytes
    stamp: FileStamp = UNKNOWN
    code: str = ""
    message: str = ""
    extent: Extent | None = None
    document: tuple[tuple[str, str], ...] = ()


class Limits(NamedTuple):
    """What the service takes; the defaults are those of one that does not say."""

    max_request_bytes: int = 64 << 20
    max_body_bytes: int = 64 << 20
    max_page_pixels: int = 100_000_000
    min_page_side_px: int = 10

    @property
    def largest_body_bytes(self) -> int:
        """Bytes of the largest page that fits a request together with the frame around it."""
        return min(self.max_body_bytes, self.max_request_bytes - 1024)


USUAL_LIMITS = Limits()


class Served(NamedTuple):
    """What a service says of itself."""

    limits: Limits = USUAL_LIMITS
    model: str = ""  # fingerprint of the model that it answers with; empty if it does not say
