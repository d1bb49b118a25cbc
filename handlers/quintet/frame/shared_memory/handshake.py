"""How a client's memory reaches a worker: one message over a Unix socket. docs/wire.md describes it.

Standard library alone, so that the client has the same code. The socket keeps message boundaries (SOCK_SEQPACKET), so
that there are no half messages. Little-endian:

    hello    magic 8 bytes | version u16 | 6 bytes of nothing | the buffer's name 16 bytes | its size u64
             and with it one descriptor
    answer   the word `taken`, or a sentence that says why not; it names no buffer

Where the other end is gone, silent or not there, functions raise OSError.
"""

import array
import contextlib
import os
import secrets
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"\x91QUIRING"
VERSION = 1
NAME_BYTES = 16
TAKEN = b"taken"
_SUFFIX = ".sock"
# Slices begin at multiples of this: a cache line, and whole 32-bit words.
ALIGNMENT_BYTES = 64
MOST_ANSWER_BYTES = 512

_HELLO = struct.Struct(f"<8sH6x{NAME_BYTES}sQ")
_PEER = struct.Struct("iII")  # struct ucred: pid, uid, gid
_BACKLOG = 64
# More descriptors than this do not come through; the kernel closes the rest and says so.
_MOST_DESCRIPTORS = 4


class HandshakeError(Exception):
    """A buffer is not taken: the reason, in words that name no buffer."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client says of its memory: the buffer's name, 16 bytes, and the size of all of it."""

    name: bytes
    size_bytes: int


def send_hello(connection: socket.socket, hello: Hello, descriptor: int) -> None:
    """Offer memory to a worker."""
    message = _HELLO.pack(MAGIC, VERSION, hello.name, hello.size_bytes)
    socket.send_fds(connection, [message], [descriptor])


def receive_hello(connection: socket.socket) -> tuple[Hello, int]:
    """What a client offers, and a descriptor that is the caller's to close.

    Raises:
        HandshakeError: it is anything else than one whole hello with one descriptor; then all are closed.
    """
    ancillary = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array.array("i").itemsize)
    message, controls, flags, _address = connection.recvmsg(_HELLO.size + 1, ancillary, socket.MSG_CMSG_CLOEXEC)
    descriptors = _descriptors(controls)
    if not message and not descriptors:
        raise ConnectionError("closed without a word")
    try:
        hello = _read_hello(message)
        if len(descriptors) != 1 or flags & socket.MSG_CTRUNC:
            raise HandshakeError("a shared buffer comes with one descriptor, neither none nor several")
    except HandshakeError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return hello, descriptors[0]


def _read_hello(message: bytes) -> Hello:
    if len(message) != _HELLO.size:
        raise HandshakeError(f"a hello has {_HELLO.size} bytes")
    magic, version, name, size_bytes = _HELLO.unpack(message)
    if (magic, version) != (MAGIC, VERSION):
        raise HandshakeError(f"a hello begins with its magic and version {VERSION}")
    return Hello(name, size_bytes)


def _descriptors(controls: list[tuple[int, int, bytes]]) -> list[int]:
    """All descriptors that came with a message, open now in this process."""
    found = array.array("i")
    for level, kind, content in controls:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(content[: len(content) - len(content) % found.itemsize])
    return list(found)


def is_of_this_user(connection: socket.socket) -> bool:
    """Whether the process at the other end runs as exactly the user that this one runs as."""
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return bool(_PEER.unpack(peer)[1] == os.geteuid())


def open_directory(path: Path) -> int:
    """A descriptor of the sockets' directory, which is the caller's to close.

    Raises:
        HandshakeError: it belongs to somebody else, or others may enter it.
    """
    descriptor = os.open(path, os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    status = os.fstat(descriptor)
    if status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077:
        return descriptor
    os.close(descriptor)
    raise HandshakeError(f"the directory of the sockets is not this user's alone (mode 0700): {path}")


def socket_names(directory: int) -> list[str]:
    """The names of the workers' sockets in an opened directory; of some the worker may be gone."""
    return sorted(name for name in os.listdir(directory) if name.endswith(_SUFFIX) and not name.startswith("."))


def connect(directory: int, name: str, timeout_s: float) -> socket.socket:
    """A connection to one of the sockets in an opened directory."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.settimeout(timeout_s)
        connection.connect(_address(directory, name))
    except OSError:
        connection.close()
        raise
    return connection


def listen(path: Path) -> socket.socket:
    """A listening socket of its own in a directory that all workers of the service share, made if it is not there.

    Raises:
        HandshakeError: as `open_directory`.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    directory = open_directory(path)
    try:
        _sweep(directory)
        name = secrets.token_hex(8) + _SUFFIX
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(_address(directory, "." + name))
        listener.listen(_BACKLOG)
        # Only now may others see it: one that nobody listens to is taken for a dead worker's and swept away.
        os.rename("." + name, name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(directory)
    return listener


def _address(directory: int, name: str) -> str:
    """A path that is short enough for a socket (107 bytes), wherever the directory is."""
    return f"/proc/self/fd/{directory}/{name}"


def _sweep(directory: int) -> None:
    for name in socket_names(directory):
        try:
            connect(directory, name, timeout_s=1.0).close()
        except ConnectionRefusedError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
        except OSError:  # gone meanwhile, or too busy to say: not ours to judge
            continue
