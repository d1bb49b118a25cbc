"""Where the members of a tar lie: ustar, pax and GNU headers, read from front to back within stated bounds.

`tarfile` reads a header of any length into memory, keeps a kilobyte for each member, and recurses.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

BLOCK = 512
# Of all extension headers before one member: a name, and what else pax may say.
MOST_HEADER_BYTES = 1024 * 1024
# A path that Linux takes; a member with a longer name is none that anybody unpacked.
MOST_NAME_BYTES = 4096
_REGULAR, _CONTIGUOUS, _PAX, _PAX_GLOBAL = b"0", b"7", b"x", b"g"
_LONG_NAME, _LONG_LINK, _SPARSE, _FOLDER = b"L", b"K", b"S", b"5"
_WITHOUT_DATA = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))
_ASCII = re.compile(rb"[\x00-\x7f]+")
_USTAR = b"ustar\0"
_PACKED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}

# Gives the bytes of a tar from an offset on, fewer at its end; offsets only grow.
Read = Callable[[int, int], bytes]


class DamagedTarError(Exception):
    """The tar cannot be read beyond some byte; what came before it is sound."""


class Member(NamedTuple):
    """A member of a tar."""

    name: bytes
    offset: int  # of its bytes, which lie within the tar
    length: int
    is_regular: bool  # a file whose bytes stand there as they are: no link, no folder, not sparse
    is_folder: bool = False


class _Extended(NamedTuple):
    """What extension headers say of the member that follows them."""

    name: bytes = b""
    length: int = -1
    is_sparse: bool = False
    header_bytes: int = 0


def members(read: Read, size_bytes: int) -> Iterator[Member]:
    """Yield the members of a tar in their order.

    Raises:
        DamagedTarError: it is empty, a header is none, or too long, or a member lies beyond the end.
    """
    if not size_bytes:
        raise DamagedTarError("it is empty")
    offset, extended = 0, _Extended()
    while offset < size_bytes:
        header = read(offset, BLOCK)
        if header == bytes(BLOCK):
            return
        kind, length = _checked(header, offset)
        data = offset + BLOCK
        if kind in {_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK}:
            held = extended.header_bytes + BLOCK + length
            if held > MOST_HEADER_BYTES:
                raise DamagedTarError(f"more than {MOST_HEADER_BYTES} bytes of headers before byte {data}")
            extended = _more(extended, kind, _whole(read, data, length))._replace(header_bytes=held)
        else:
            if kind == _SPARSE:
                data = _after_sparse_map(read, header, data)
            length = 0 if kind in _WITHOUT_DATA else extended.length if extended.length >= 0 else length
            if data + length > size_bytes:
                raise DamagedTarError(f"the member at byte {offset} has {length} bytes, which end beyond the tar's end")
            name = extended.name or _name_of(header)
            regular = kind in {_REGULAR, _CONTIGUOUS, b"\0"} and not extended.is_sparse and not name.endswith(b"/")
            is_folder = kind == _FOLDER or name.endswith(b"/")
            yield Member(name, data, length, regular and len(name) <= MOST_NAME_BYTES, is_folder)
            extended = _Extended()
        offset = data + -(-length // BLOCK) * BLOCK


def _checked(header: bytes, offset: int) -> tuple[bytes, int]:
    """The type of a header and the bytes that follow it."""
    packed = _PACKED.get(header[:2], "") if offset == 0 else ""
    if packed:
        raise DamagedTarError(f"it is packed with {packed}; unpack it")
    if len(header) < BLOCK:
        raise DamagedTarError(f"it ends within the header at byte {offset}")
    total = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    told = _number(header[148:156])
    # Some old tars count bytes as signed.
    if told != total and told != total - 256 * len(_ASCII.sub(b"", header[:148] + header[156:])):
        raise DamagedTarError(f"no header at byte {offset}")
    length = _number(header[124:136])
    if length < 0:
        raise DamagedTarError(f"the header at byte {offset} has no size")
    return header[156:157], length


def _number(field: bytes) -> int:
    """A number in octal digits, or as GNU writes large ones; -1 if it is none."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    digits = field.partition(b"\0")[0].strip()
    return int(digits, 8) if digits.isdigit() and not digits.strip(b"01234567") else -1 if digits else 0


def _name_of(header: bytes) -> bytes:
    name, prefix = header[:100].partition(b"\0")[0], header[345:500].partition(b"\0")[0]
    return prefix + b"/" + name if prefix and header[257:263] == _USTAR else name


def _whole(read: Read, offset: int, length: int) -> bytes:
    data = read(offset, length) if length else b""
    if len(data) < length:
        raise DamagedTarError(f"it ends within the header at byte {offset}")
    return data


def _more(extended: _Extended, kind: bytes, data: bytes) -> _Extended:
    if kind == _LONG_NAME:
        return extended._replace(name=data.partition(b"\0")[0])
    for key, value in _records(data) if kind == _PAX else ():
        if key == b"path":
            extended = extended._replace(name=value)
        elif key == b"size":
            extended = extended._replace(length=int(value) if value.isdigit() and len(value) < 20 else -1)
        elif key.startswith(b"GNU.sparse."):
            extended = extended._replace(is_sparse=True)
    return extended


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of a pax header, `LENGTH KEY=VALUE` and a newline each; as far as they are sound."""
    start = 0
    while start < len(data):
        digits, space, _ = data[start : start + 10].partition(b" ")
        begin = start + len(digits) + 1
        end = start + int(digits) if space and digits.isdigit() else 0
        if not begin < end <= len(data):
            return
        key, _, value = data[begin : end - 1].partition(b"=")
        yield key, value
        start = end


def _after_sparse_map(read: Read, header: bytes, offset: int) -> int:
    """Where the data of an old GNU sparse member begin: behind blocks that say where its holes are."""
    begin, goes_on = offset, header[482] != 0
    while goes_on:
        if offset - begin >= MOST_HEADER_BYTES:
            raise DamagedTarError(f"more than {MOST_HEADER_BYTES} bytes of headers before byte {offset}")
        goes_on = _whole(read, offset, BLOCK)[504] != 0
        offset += BLOCK
    return offset
