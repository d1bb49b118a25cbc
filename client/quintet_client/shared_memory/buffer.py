"""The client's side of the shared memory: the memory itself, and the workers that have mapped it."""

import fcntl
import logging
import mmap
import os
import socket
from pathlib import Path

from quintet.frame.shared_memory.buffers import SEALS
from quintet.frame.shared_memory.handshake import (
    MOST_ANSWER_BYTES,
    TAKEN,
    HandshakeError,
    Hello,
    connect,
    is_of_this_user,
    open_directory,
    send_hello,
    socket_names,
)

# A worker answers from a thread of its own, also while it reads pages.
ATTACH_TIMEOUT_S = 30.0
_log = logging.getLogger(__name__)


class SharedBuffer:
    """Sealed memory without a name in any file system: gone when client and workers are, however they end.

    It is made before the loader's processes are forked, which inherit it, and attached after: so the connections are
    this process's alone, and end with it.
    """

    def __init__(self, size_bytes: int) -> None:
        """Make the memory; pages are allocated as they are written. Raises OSError if the kernel refuses it."""
        self._size_bytes = size_bytes
        self._descriptor = os.memfd_create("quintet-buffer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self._descriptor, size_bytes)
        fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, SEALS)
        self.view = memoryview(mmap.mmap(self._descriptor, size_bytes))
        self._workers: dict[str, socket.socket] = {}

    @property
    def workers(self) -> int:
        """How many workers have mapped the buffer, as far as is known."""
        return len(self._workers)

    def attach(self, directory: Path, name: bytes) -> int:
        """Offer the memory, under a name, to every worker without it; returns how many took it.

        Raises:
            HandshakeError: the directory is not this user's alone.
            OSError: there is no such directory.
        """
        for socket_name, connection in list(self._workers.items()):
            if _has_ended(connection):
                connection.close()
                del self._workers[socket_name]
        before = self.workers
        descriptor = open_directory(directory)
        try:
            for socket_name in socket_names(descriptor):
                if socket_name not in self._workers:
                    self._offer(descriptor, socket_name, name)
        finally:
            os.close(descriptor)
        return self.workers - before

    def detach(self) -> None:
        """Let the workers unmap the memory."""
        for connection in list(self._workers.values()):
            connection.close()
        self._workers.clear()

    def close(self) -> None:
        """Release the memory here too; existing views keep it."""
        self.detach()
        os.close(self._descriptor)

    def _offer(self, directory: int, socket_name: str, name: bytes) -> None:
        try:
            connection = connect(directory, socket_name, ATTACH_TIMEOUT_S)
        except OSError as error:
            _log.debug("nothing listens at %s: %s", socket_name, error)  # a worker that is gone
            return
        try:
            if not is_of_this_user(connection):
                raise HandshakeError("the service runs as another user")
            send_hello(connection, Hello(name, self._size_bytes), self._descriptor)
            answer = connection.recv(MOST_ANSWER_BYTES)
            if answer != TAKEN:
                raise HandshakeError(answer.decode("utf-8", "replace") or "it closed the connection")
        except (HandshakeError, OSError) as error:
            connection.close()
            _log.warning("a worker does not take the shared memory: %s", error)
        else:
            connection.setblocking(False)
            self._workers[socket_name] = connection


def _has_ended(connection: socket.socket) -> bool:
    """Whether the worker at the other end is gone: it sends nothing as long as it lives."""
    try:
        connection.recv(1)
    except OSError as error:
        return not isinstance(error, BlockingIOError)
    return True
