"""The bytes of pages: files, objects and items of shards read, pages of documents rendered. Faults become failures."""

import logging
from collections.abc import Iterator, Sequence

from quintet_client.errors import ServerUnreachableError
from quintet_client.input.addresses import Address
from quintet_client.input.documents.codes import SHARD_HAS_CHANGED, DocumentCode
from quintet_client.input.documents.renderer import Renderer
from quintet_client.input.regular_files import open_regular, read_part, why_not
from quintet_client.input.shards.parquet import GroupTooLargeError, Rows, UnreadableParquetError
from quintet_client.input.source import Source, stamp_of_part
from quintet_client.input.stores.copies import Copies
from quintet_client.input.stores.objects import Wanted, read_objects
from quintet_client.service.page import UNKNOWN, FileStamp, Limits, Page

_log = logging.getLogger(__name__)


class Bodies:
    """Reads pages; nothing it meets raises, because that would end the process that reads.

    Pages of documents are rendered by a process that starts with the first of them.
    """

    def __init__(self, dpi: int, limits: Limits, copies: Copies, passwords: Sequence[str] = ()) -> None:
        """Prepare: `dpi` is that of PDFs' pages, `limits` those of the service, `copies` of documents to be opened."""
        self._dpi = dpi
        self._limits = limits
        self._renderer = Renderer(limits=limits, copies=copies, passwords=passwords)
        self._rows = Rows()

    def read(self, sources: Sequence[Source]) -> list[Page]:
        """Read pages, in order; those that are objects, or in tars in stores, all at the same time."""
        fetched = read_object_pages([source for source in sources if _is_object(source)], self._limits)
        return [next(fetched) if _is_object(source) else self._read(source) for source in sources]

    def close(self) -> None:
        """End the renderer's process and let go of rows; the next page has both again."""
        self._renderer.close()
        self._rows = Rows()

    def _read(self, source: Source) -> Page:
        most_bytes = self._limits.largest_body_bytes
        if source.code:
            return Page(source.page_id, b"", source.stamp, source.code, source.message)
        if source.page:
            return self._render(source)
        if source.is_row:
            return self._read_row(source, most_bytes)
        return read_member(source, most_bytes) if source.part else read_page(source, most_bytes)

    def _render(self, source: Source) -> Page:
        answer = self._renderer.render_source(source, self._dpi)
        if answer.note:
            _log.warning("%s: %s", source.page_id, answer.note)
        return Page(source.page_id, answer.body, answer.stamp, answer.code, answer.message)

    def _read_row(self, source: Source, most_bytes: int) -> Page:
        try:
            body, stamp = self._rows.read(source)
        except (OSError, ServerUnreachableError) as error:
            return _unread(source, error)
        except GroupTooLargeError as error:
            return Page(source.page_id, b"", source.stamp, DocumentCode.ROW_GROUP_TOO_LARGE, str(error))
        except UnreadableParquetError as error:
            return Page(source.page_id, b"", source.stamp, DocumentCode.SHARD_DAMAGED, str(error))
        return _page_of_part(source, body, stamp, most_bytes)


def read_page(source: Source, most_bytes: int) -> Page:
    """Read one regular file whole; anything else, and any error, becomes the page's error."""
    try:
        file, stamp = open_regular(source.path)
        with file:
            body = file.read() if stamp.size_bytes <= most_bytes else b""
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in a name from a list
        return _unread(source, error)
    return _page(source, body, stamp, most_bytes)


def read_member(source: Source, most_bytes: int) -> Page:
    """Read a member of a local tar, likewise."""
    start, length = source.part or (0, 0)
    if length > most_bytes:
        return _page(source, b"", source.stamp, most_bytes)
    try:
        return _page_of_part(source, *read_part(source.path, start, length), most_bytes)
    except (OSError, ValueError) as error:
        return _unread(source, error)


def read_object_pages(sources: Sequence[Source], limits: Limits) -> Iterator[Page]:
    """Read images in stores, all at the same time, as `read_page` reads a file; what is too large is not asked for."""
    most_bytes = limits.largest_body_bytes
    wanted = [_wanted(source) for source in sources if _is_asked_for(source, most_bytes)]
    bodies = iter(read_objects(wanted, most_bytes)) if wanted else iter(())
    for source in sources:
        read = next(bodies) if _is_asked_for(source, most_bytes) else (b"", source.stamp)
        if isinstance(read, Exception):
            yield _unread(source, read)
        elif source.part and _is_asked_for(source, most_bytes):
            yield _page_of_part(source, *read, most_bytes)
        else:
            yield _page(source, *read, most_bytes)


def _is_object(source: Source) -> bool:
    """Whether it is an image in a store, of its own or in a tar."""
    return source.is_at_address and not source.page and not source.code and not source.is_row


def _is_asked_for(source: Source, most_bytes: int) -> bool:
    """Whether it has to be read to know how it ends; no store gives no bytes of an object."""
    return source.stamp.size_bytes <= most_bytes and not (source.part and not source.part.length)


def _wanted(source: Source) -> Wanted:
    return Wanted(Address.of(source.path), *(source.part or ()))


def _unread(source: Source, error: OSError | ValueError | ServerUnreachableError) -> Page:
    """The failure of what cannot be read; the next run tries again."""
    if isinstance(error, ServerUnreachableError):
        return Page(source.page_id, b"", UNKNOWN, DocumentCode.STORE_UNREACHABLE, str(error))
    return Page(source.page_id, b"", UNKNOWN, DocumentCode.UNREADABLE_FILE, why_not(error))


def _page_of_part(source: Source, body: bytes, shard: FileStamp, most_bytes: int) -> Page:
    """An item of a shard that has such a state now; where it lies is known of the state that was listed."""
    if source.part is None or stamp_of_part(shard, source.part, source.stamp.size_bytes) != source.stamp:
        return Page(source.page_id, b"", UNKNOWN, DocumentCode.UNREADABLE_FILE, SHARD_HAS_CHANGED)
    return _page(source, body, source.stamp, most_bytes)


def _page(source: Source, body: bytes, stamp: FileStamp, most_bytes: int) -> Page:
    size_bytes = max(stamp.size_bytes, len(body))
    if size_bytes > most_bytes:
        reason = f"{size_bytes} bytes; the service takes at most {most_bytes}"
        return Page(source.page_id, b"", stamp, "IMAGE_TOO_LARGE", reason)
    return Page(source.page_id, body, stamp)
