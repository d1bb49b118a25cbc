"""What the worker and its codec processes say to each other over a socket."""

import json
import socket
import struct
from typing import NamedTuple

from quintet.errors import Code

_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<IQQQQ")
_MOST_REPLY_BYTES = 1 << 16
_PIECE_BYTES = 1 << 18


class Request(NamedTuple):
    """What is asked about one body.

    Attributes:
        cpu_ms: time that it may take, of the CPU.
        memory_bytes: address space that it may take beside what the process has.
        begin: where its words begin in shared memory, in bytes; 0 if only the header is asked for.
        length: how many bytes its words have; 0 likewise.
    """

    cpu_ms: int
    memory_bytes: int
    begin: int = 0
    length: int = 0


class Reply(NamedTuple):
    """What became of it.

    Attributes:
        width: of the image, as its header says or, decoded, as a viewer shows it.
        height: likewise.
        is_plain_jpeg: whether a device may decode it.
        decode_bytes: the most memory that decoding may take beside its words.
        code: why there is no image; empty if there is.
        message: the same for a person.
    """

    width: int = 0
    height: int = 0
    is_plain_jpeg: bool = False
    decode_bytes: int = 0
    code: Code | str = ""
    message: str = ""


def send_request(peer: socket.socket, request: Request, body: bytes, descriptor: int | None) -> None:
    """Ask; the descriptor is that of the shared memory for the words."""
    head = _HEAD.pack(*request, len(body))
    socket.send_fds(peer, [head], [] if descriptor is None else [descriptor])
    peer.sendall(body)


def receive_request(peer: socket.socket) -> tuple[Request, bytearray, list[int]]:
    """The next request, its body, and its descriptors; EOFError when the worker has gone."""
    head, descriptors, _flags, _address = socket.recv_fds(peer, _HEAD.size, 1)
    head += _exactly(peer, _HEAD.size - len(head))
    *fields, length = _HEAD.unpack(head)
    return Request(*fields), _exactly(peer, length), descriptors


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
        width, height, plain, decode_bytes, code, message = json.loads(_exactly(peer, length))
        return Reply(int(width), int(height), bool(plain), int(decode_bytes), code and Code(code), str(message))
    except TypeError as error:
        raise ValueError("a reply of another form") from error


def _exactly(peer: socket.socket, count: int) -> bytearray:
    received, place = bytearray(count), 0
    view = memoryview(received)
    while place < count:
        read = peer.recv_into(view[place:], min(count - place, _PIECE_BYTES))
        if not read:
            raise EOFError
        place += read
    return received
