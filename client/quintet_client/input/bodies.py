"""The bytes of pages: files and objects read whole, pages of documents rendered. What cannot be had says why."""

import logging
from collections.abc import Iterator, Sequence

from quintet_client.errors import ServerUnreachableError
from quintet_client.input.addresses import Address
from quintet_client.input.documents.codes import DocumentCode
from quintet_client.input.documents.renderer import Renderer
from quintet_client.input.regular_files import open_regular, why_not
from quintet_client.input.sources import Source
from quintet_client.input.stores.copies import Copies
from quintet_client.input.stores.objects import read_objects
from quintet_client.service.page import UNKNOWN, FileStamp, Limits, Page

_log = logging.getLogger(__name__)


class Bodies:
    """Reads pages; nothing it meets raises, because that would end the process that reads.

    Pages of documents are rendered by a process that starts with the first of them.
    """

    def __init__(self, dpi: int, limits: Limits, copies: Copies) -> None:
        """Prepare: `dpi` is that of PDFs' pages, `limits` those of the service, `copies` of documents in stores."""
        self._dpi = dpi
        self._limits = limits
        self._renderer = Renderer(limits=limits, copies=copies)

    def read(self, sources: Sequence[Source]) -> list[Page]:
        """Read pages, in order; those that are objects all at the same time."""
        fetched = read_object_pages([source for source in sources if _is_object(source)], self._limits)
        return [next(fetched) if _is_object(source) else self._read(source) for source in sources]

    def close(self) -> None:
        """End the renderer's process."""
        self._renderer.close()

    def _read(self, source: Source) -> Page:
        if source.code:
            return Page(source.page_id, b"", source.stamp, source.code, source.message)
        if not source.page:
            return read_page(source, self._limits.largest_body_bytes)
        answer = self._renderer.render(source.path, source.page, self._dpi)
        if answer.note:
            _log.warning("%s: %s", source.page_id, answer.note)
        return Page(source.page_id, answer.body, answer.stamp, answer.code, answer.message)


def read_page(source: Source, most_bytes: int) -> Page:
    """Read one regular file whole; anything else, and any error, becomes the page's error."""
    try:
        file, stamp = open_regular(source.path)
        with file:
            body = file.read() if stamp.size_bytes <= most_bytes else b""
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in a name from a list
        return Page(source.page_id, b"", UNKNOWN, "UNREADABLE_FILE", why_not(error))
    return _page(source, body, stamp, most_bytes)


def _is_object(source: Source) -> bool:
    """Whether it is an image in a store."""
    return source.is_at_address and not source.page and not source.code


def read_object_pages(sources: Sequence[Source], limits: Limits) -> Iterator[Page]:
    """Read images in stores, all at the same time, as `read_page` reads a file; what is too large is not asked for."""
    most_bytes = limits.largest_body_bytes
    small = [source for source in sources if source.stamp.size_bytes <= most_bytes]
    bodies = iter(read_objects([Address.of(source.path) for source in small], most_bytes)) if small else iter(())
    for source in sources:
        read = (b"", source.stamp) if source.stamp.size_bytes > most_bytes else next(bodies)
        if isinstance(read, ServerUnreachableError):
            yield Page(source.page_id, b"", UNKNOWN, DocumentCode.STORE_UNREACHABLE, str(read))
        elif isinstance(read, OSError):
            yield Page(source.page_id, b"", UNKNOWN, "UNREADABLE_FILE", why_not(read))
        else:
            yield _page(source, *read, most_bytes)


def _page(source: Source, body: bytes, stamp: FileStamp, most_bytes: int) -> Page:
    if stamp.size_bytes > most_bytes:
        reason = f"{stamp.size_bytes} bytes; the service takes at most {most_bytes}"
        return Page(source.page_id, b"", stamp, "IMAGE_TOO_LARGE", reason)
    return Page(source.page_id, body, stamp)
