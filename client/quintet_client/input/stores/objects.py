"""The one place that knows obstore: lists objects, tells their state, reads and copies them.

Credentials are what obstore finds: the stores' environment variables, or the role of the machine. Its messages hold
addresses as they were asked, which may be signed, and the stores' own words: none of them is passed on.
"""

import io
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from quintet_client.errors import NotAuthorisedError, QuintetError, ServerUnreachableError, UsageError
from quintet_client.input.addresses import Address
from quintet_client.input.finding.left_out import LeftOut, Reason
from quintet_client.input.finding.selection import Selection, is_read_by_name
from quintet_client.input.source import SHARD_EXTENSIONS
from quintet_client.service.page import UNKNOWN, FileStamp

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from obstore import GetOptions, GetResult, ObjectMeta
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

# Requests of one process that are under way at a time.
CONNECTIONS = 16
# A store that answers 429 or 5xx, or not at all, is asked again for so long.
RETRY_S = 60
_RETRIES: "RetryConfig" = {
    "max_retries": 1000,  # more than fit into that time
    "retry_timeout": timedelta(seconds=RETRY_S),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
}
# One request, with the body: 64 MiB at 2 Mbit/s take 270 s. A connection that is silent for 20 s is given up.
_CLIENT: "ClientConfig" = {"connect_timeout": "5s", "read_timeout": "20s", "timeout": "300s"}
# The variable that allows addresses of a store that begin with http://; options given here would hide it from obstore.
_ALLOW_HTTP = {"s3": "AWS_ALLOW_HTTP", "gs": "GOOGLE_ALLOW_HTTP", "az": "AZURE_ALLOW_HTTP"}
_CHUNK_BYTES = 8 * 1024 * 1024
# Bytes that are read in vain between two parts take less time than another request.
_MOST_GAP_BYTES = 256 * 1024
WHOLE = -1
_STATUS = re.compile(r"status code: (\d{3})")
# Where a machine of Amazon's or Google's is asked for its role, if there are no other credentials.
_ROLES = "169.254.169.254"


class Found(NamedTuple):
    """An object that is there."""

    relative: str  # its key below the prefix that was listed
    key: str
    stamp: FileStamp


def list_objects(address: Address, selection: Selection) -> tuple[list[Found], LeftOut]:
    """List the objects below a prefix that are read, or the one object that the address is; and what is left out.

    An object is known by its name alone: its first bytes would be a request.

    Raises:
        UsageError: there is nothing, or the store cannot be asked for it.
        NotAuthorisedError: the store refused the credentials.
        ServerUnreachableError: the store was away or busy for `RETRY_S`.
    """
    need_obstore()
    import obstore  # noqa: PLC0415 - only addresses need it

    prefix = address.key.rstrip("/")
    try:
        if is_read_by_name(address.name):
            (stamp,) = stamps_of([address])
            if stamp != UNKNOWN:
                return _chosen([Found(address.name, address.key, stamp)], replace(selection, hidden=True))
        found, left_out, empty = list[Found](), LeftOut(), True
        for chunk in obstore.list(store_of(address.scheme, address.bucket), prefix, chunk_size=1000):
            empty = False
            keys = [(meta["path"], _stamp(meta)) for meta in chunk]
            listed = [Found(key.removeprefix(prefix).removeprefix("/"), key, stamp) for key, stamp in keys]
            chosen, others = _chosen(listed, selection)
            found += chosen
            left_out.merge(others)
    except (ValueError, obstore.exceptions.BaseError) as error:
        raise fault(error, address) from None
    if empty:
        raise UsageError(f"{address} does not exist: there is no object of that name, and none below it")
    return found, left_out


def _chosen(listed: Sequence[Found], selection: Selection) -> tuple[list[Found], LeftOut]:
    """Those objects that are read by their names."""
    found, left_out = list[Found](), LeftOut()
    for each in listed:
        is_shard = each.key.lower().endswith(SHARD_EXTENSIONS)
        reason = selection.hides(each.relative) or (None if is_read_by_name(each.key) else Reason.OTHER_FORMAT)
        reason = reason or selection.excludes(each.relative, is_shard=is_shard)
        if reason is None:
            found.append(each)
        else:
            left_out.add(reason, each.key)
    return found, left_out


def stamps_of(addresses: Sequence[Address]) -> list[FileStamp]:
    """Tell the state of objects, in order; `UNKNOWN` for those that are not there: reading says so, by name.

    Raises:
        QuintetError: as `list_objects`, for a store that cannot be asked.
    """
    need_obstore()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        return list(threads.map(_stamp_of, addresses))


class Wanted(NamedTuple):
    """An object to read, or so many bytes of one from a byte on."""

    address: Address
    start: int = 0
    length: int = WHOLE


# What was read, with the state of the object that it is, or is part of.
Read = tuple[bytes, FileStamp]
Fault = OSError | ServerUnreachableError


def read_objects(wanted: Sequence[Wanted], most_bytes: int) -> list[Read | Fault]:
    """Read objects, or parts of them, at the same time; one that is larger is empty, one that cannot be read an error.

    Neighbouring parts of one object are asked for together: requests are what stores are slow at, and paid for.
    """
    groups = list(_together(wanted))
    with ThreadPoolExecutor(min(CONNECTIONS, len(groups))) as threads:
        return [read for group in threads.map(_read, groups, [most_bytes] * len(groups)) for read in group]


def read_part(address: Address, start: int, length: int) -> Read:
    """Read some bytes of an object, at least one; fewer at its end.

    Raises:
        OSError: they cannot be read.
        ServerUnreachableError: the store was away or busy for `RETRY_S`.
    """
    import obstore  # noqa: PLC0415 - as above

    try:
        found, stamp = _get(Wanted(address, start, length))
        return bytes(found.bytes()), stamp
    except (ValueError, QuintetError, obstore.exceptions.BaseError) as error:
        raise _why_not(error, address) from None


def object_file(address: Address) -> "_ObjectFile":
    """An object as a file, of which what is read is asked for, with its `stamp`; raises as `read_part`, reading too."""
    return _ObjectFile(address)


class _ObjectFile(io.RawIOBase):
    """A column of a row group is one range."""

    def __init__(self, address: Address) -> None:
        super().__init__()
        self._address = address
        self._offset = 0
        # The end holds the size of the footer, and asking for it tells the object's.
        _, self.stamp = read_part(address, 0, 1)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begins = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self.stamp.size_bytes}
        self._offset = begins[whence] + offset
        return self._offset

    def read(self, size: int = -1, /) -> bytes:
        left = self.stamp.size_bytes - self._offset
        size = left if size < 0 else min(size, left)
        if size <= 0:
            return b""
        read, stamp = read_part(self._address, self._offset, size)
        if stamp != self.stamp:
            raise OSError(0, "the object has changed while it was read")
        self._offset += len(read)
        return read

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        target = memoryview(buffer)
        read = self.read(len(target))
        target[: len(read)] = read
        return len(read)


def copy_object(wanted: Wanted, file: BinaryIO, most_bytes: int) -> FileStamp:
    """Copy an object, or a part of one, into a file; nothing of one that is larger. Returns the object's state.

    Raises:
        OSError: it cannot be read.
        ServerUnreachableError: the store was away or busy for `RETRY_S`.
    """
    import obstore  # noqa: PLC0415 - as above

    try:
        found, stamp = _get(wanted)
        if (stamp.size_bytes if wanted.length == WHOLE else wanted.length) <= most_bytes:
            file.writelines(found.stream(_CHUNK_BYTES))
    except (ValueError, QuintetError, obstore.exceptions.BaseError) as error:
        raise _why_not(error, wanted.address) from None
    return stamp


def _together(wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """Neighbouring parts of one object, each group for one request; whole objects alone."""
    group: list[Wanted] = []
    for each in wanted:
        if group and not _is_next(group[0], group[-1], each):
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _is_next(first: Wanted, last: Wanted, each: Wanted) -> bool:
    if each.address != last.address or WHOLE in {each.length, last.length}:
        return False
    gap = each.start - (last.start + last.length)
    return 0 <= gap <= _MOST_GAP_BYTES and each.start + each.length - first.start <= _CHUNK_BYTES


def _read(group: Sequence[Wanted], most_bytes: int) -> list[Read | Fault]:
    import obstore  # noqa: PLC0415 - as above

    first, last = group[0], group[-1]
    span = first if len(group) == 1 else first._replace(length=last.start + last.length - first.start)
    try:
        found, stamp = _get(span)
        if span.length == WHOLE:
            return [(bytes(found.bytes()) if stamp.size_bytes <= most_bytes else b"", stamp)]
        read = memoryview(found.bytes())
    except (ValueError, FileNotFoundError, QuintetError, obstore.exceptions.BaseError) as error:
        return [_why_not(error, first.address)] * len(group)
    parts = (read[each.start - first.start :][: each.length] for each in group)
    return [(bytes(part), stamp) for part in parts]


def _get(wanted: Wanted) -> tuple["GetResult", FileStamp]:
    import obstore  # noqa: PLC0415 - as above

    address, start, length = wanted
    options: GetOptions = {} if length == WHOLE else {"range": (start, start + length)}
    try:
        found = obstore.get(store_of(address.scheme, address.bucket), address.key, options=options)
    except FileNotFoundError:
        raise FileNotFoundError(0, "there is no such object") from None
    return found, _stamp(found.meta)


def _stamp_of(address: Address) -> FileStamp:
    import obstore  # noqa: PLC0415 - as above

    try:
        return _stamp(obstore.head(store_of(address.scheme, address.bucket), address.key))
    except (ValueError, FileNotFoundError):  # ValueError: a key that obstore has no words for
        return UNKNOWN
    except obstore.exceptions.BaseError as error:
        raise fault(error, address) from None


def _stamp(meta: "ObjectMeta") -> FileStamp:
    """An object's size and, for its time, 63 bits of a digest of its ETag: times are of whole seconds.

    Answers and listings quote an ETag differently.
    """
    etag = (meta["e_tag"] or meta["last_modified"].isoformat(timespec="seconds")).removeprefix("W/").strip('"')
    return FileStamp(meta["size"], int.from_bytes(sha256(etag.encode()).digest()[:8]) >> 1)


def need_obstore() -> None:
    """Raise UsageError, in words for the user, if obstore is not installed."""
    if find_spec("obstore") is None:
        raise UsageError("addresses need obstore, which is not installed: pip install 'quintet[stores]'")


@cache
def _first_process() -> int:
    return os.getpid()


@cache
def store_of(scheme: str, bucket: str) -> "ObjectStore":
    """Connect to a bucket. Raises UsageError if the environment lacks what that takes."""
    from obstore.exceptions import BaseError  # noqa: PLC0415 - as above
    from obstore.store import AzureStore, GCSStore, S3Store  # noqa: PLC0415 - as above

    if _first_process() != os.getpid():
        raise RuntimeError("obstore was used before this process was forked, and would wait for ever")
    store = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[scheme]
    options: ClientConfig = {**_CLIENT, "allow_http": os.environ.get(_ALLOW_HTTP[scheme], "").lower() in {"1", "true"}}
    try:
        connected: ObjectStore = store(bucket, retry_config=_RETRIES, client_options=options)
    except (ValueError, BaseError) as error:
        raise UsageError(
            f"the environment lacks what {scheme}:// needs, or says it wrongly ({type(error).__name__}): see the "
            "variables in docs/cli.md"
        ) from None
    return connected


def fault(error: Exception, address: Address) -> QuintetError:
    """What ends a run before anything is read, in words that hold nothing of the store's or obstore's."""
    place = f"{address.scheme}://{address.bucket}"
    if isinstance(error, ValueError) or "path segment" in str(error):
        return UsageError(
            f"{address}: no part of a key may be empty, '.' or '..', of what is below it neither; rename it"
        )
    status = _status(error)
    if status in {401, 403}:
        return NotAuthorisedError(f"{place} refused the credentials of the environment (status {status})")
    if not status and _ROLES in str(error):
        return NotAuthorisedError(f"the environment has no credentials for {place}, and the machine has no role")
    if status == 404:
        return UsageError(f"{address} does not exist: there is no bucket {address.bucket}")
    if not status or status == 429 or status >= 500:
        return ServerUnreachableError(f"{place} could not be reached for {RETRY_S} s{_of(status)}")
    return UsageError(f"{place} does not take the request{_of(status)}: are bucket, region and credentials right?")


def _why_not(error: Exception, address: Address) -> Fault:
    """Why one object cannot be read, likewise."""
    if isinstance(error, FileNotFoundError):
        return error
    found = error if isinstance(error, QuintetError) else fault(error, address)
    return found if isinstance(found, ServerUnreachableError) else OSError(0, str(found))


def _status(error: Exception) -> int:
    """The store's last answer; 0 if there was none, or none that says."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError  # noqa: PLC0415 - as above

    if isinstance(error, PermissionDeniedError):
        return 403
    if isinstance(error, UnauthenticatedError):
        return 401
    found = _STATUS.search(str(error))
    return int(found.group(1)) if found else 0


def _of(status: int) -> str:
    return f" (status {status})" if status else ""
