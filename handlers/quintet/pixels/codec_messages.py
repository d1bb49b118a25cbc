"""What the worker and its codec processes say to each other over a socket."""

import json
import socket
import struct
from collections.abc import Mapping
from typing import NamedTuple

from quintet.errors import Code

_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<IQQQIIIIQ")
_MOST_REPLY_BYTES = 1 << 18
_PIECE_BYTES = 1 << 18


class PageRange(NamedTuple):
    """Pages of a document; of a body that is an image none.

    Attributes:
        first: number of the first, from 1.
        last: of the last; a document may end before.
        most: how many there may be.
        dpi: pixels an inch that pages of PDFs are rendered at.
    """

    first: int = 0
    last: int = 0
    most: int = 0
    dpi: int = 0


NO_PAGES = PageRange()


class Request(NamedTuple):
    """What is asked about one body.

    Attributes:
        cpu_ms: time that it may take, of the CPU.
        memory_bytes: address space that it may take beside what the process has.
        begin: where its words begin in shared memory, in bytes; 0 if only the header is asked for.
        length: how many bytes its words have; 0 likewise.
        pages: of a document, which pages' sizes are asked for, or the one whose words are.
    """

    cpu_ms: int
    memory_bytes: int
    begin: int = 0
    length: int = 0
    pages: PageRange = NO_PAGES


class PageHead(NamedTuple):
    """Size of a page of a document, or why it has none; as in `Reply`."""

    width: int = 0
    height: int = 0
    code: Code | str = ""
    message: str = ""


class Reply(NamedTuple):
    """What became of it.

    Attributes:
        width: of the image, as its header says or, decoded, as a viewer shows it.
        height: likewise.
        is_plain_jpeg: whether a device may decode it.
        decode_bytes: the most memory that decoding may take beside its words.
        decode_times: how many times as long as another image of its size it may take.
        code: why there is no image; empty if there is.
        message: the same for a person.
        page_count: how many pages a document has.
        pages: those that were asked for, by number.
    """

    width: int = 0
    height: int = 0
    is_plain_jpeg: bool = False
    decode_bytes: int = 0
    decode_times: int = 1
    code: Code | str = ""
    message: str = ""
    page_count: int = 0
    pages: Mapping[int, PageHead] = {}


def send_request(peer: socket.socket, request: Request, body: bytes, descriptor: int | None) -> None:
    """Ask; the descriptor is that of the shared memory for the words."""
    head = _HEAD.pack(*request[:-1], *request.pages, len(body))
    socket.send_fds(peer, [head], [] if descriptor is None else [descriptor])
    peer.sendall(body)


def receive_request(peer: socket.socket) -> tuple[Request, bytearray, list[int]]:
    """The next request, its body, and its descriptors; EOFError when the worker has gone."""
    head, descriptors, _flags, _address = socket.recv_fds(peer, _HEAD.size, 1)
    head += _exactly(peer, _HEAD.size - len(head))
    cpu_ms, memory_bytes, begin, words_length, *pages, length = _HEAD.unpack(head)
    request = Request(cpu_ms, memory_bytes, begin, words_length, PageRange(*pages))
    return request, _exactly(peer, length), descriptors


def send_reply(peer: socket.socket, reply: Reply) -> None:
    """Answer."""
    text = json.dumps(reply).encode()
    peer.sendall(_LENGTH.pack(len(text)) + text)


def receive_reply(peer: socket.socket) -> Reply:
    """The answer of a process that an image may have taken over.

    Raises:
        EOFError: it has ended.
        ValueError: this is no answer.
    """
    (length,) = _LENGTH.unpack(_exactly(peer, _LENGTH.size))
    if length > _MOST_REPLY_BYTES:
        raise ValueError(f"a reply of {length} bytes")
    try:
        width, height, plain, decode_bytes, times, *said = json.loads(_exactly(peer, length))
        code, message, page_count, pages = said
        heads = {int(number): _page_head(*head) for number, head in dict(pages).items()}
        size = (int(width), int(height), bool(plain), int(decode_bytes), int(times))
        return Reply(*size, code and Code(code), str(message), int(page_count), heads)
    except TypeError as error:
        raise ValueError("a reply of another form") from error


def _page_head(width: int, height: int, code: str, message: str) -> PageHead:
    return PageHead(int(width), int(height), code and Code(code), str(message))


def _exactly(peer: socket.socket, count: int) -> bytearray:
    received, place = bytearray(count), 0
    view = memoryview(received)
    while place < count:
        read = peer.recv_into(view[place:], min(count - place, _PIECE_BYTES))
        if not read:
            raise EOFError
        place += read
    return received
