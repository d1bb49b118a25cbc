"""The memory of clients, mapped into this worker: pages that lie in it travel as slices. docs/wire.md describes it.

A shared buffer lives as long as its client's connection: when that ends, however it ends, the worker lets go of it.
"""

import contextlib
import fcntl
import logging
import mmap
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quintet.errors import Code, Failure, SettingsError
from quintet.frame.chain import ChainEngine
from quintet.frame.frames import BufferSlice
from quintet.frame.settings import FrameSettings
from quintet.frame.shared_memory import handshake
from quintet.frame.shared_memory.handshake import ALIGNMENT_BYTES, HandshakeError

# Memory with these can neither shrink under a reader (which would kill the worker) nor lose the seals again.
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
HELLO_WITHIN_S = 5.0
# Connections that have not said hello yet, besides one for each buffer.
_MOST_WAITING = 16
_PAUSE_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class SharedBuffer:
    """One client's memory, mapped read only."""

    name: bytes  # what its slices call it
    view: memoryview = field(repr=False)
    pinned: bool = False  # page-locked


class SharedBuffers:
    """The shared buffers of one worker. Off until it listens; then each connection has a thread of its own."""

    def __init__(self, settings: FrameSettings, engine: ChainEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._directory: Path | None = None
        self._held: dict[bytes, SharedBuffer] = {}
        self._changing = threading.Lock()
        self._reading = threading.Lock()
        self._connections = threading.BoundedSemaphore(settings.shared_memory_rings + _MOST_WAITING)

    def listen(self, directory: Path) -> None:
        """Take buffers from now on, where the settings allow it: at sockets in a directory of all workers.

        Raises:
            SettingsError: others may enter the directory, or it cannot be made.
        """
        if not self._settings.shared_memory:
            return
        try:
            listener = handshake.listen(directory)
        except (HandshakeError, OSError) as error:
            raise SettingsError(f"shared_memory is true, but no socket can be made: {error}") from error
        self._directory = directory
        threading.Thread(target=self._accept, args=(listener,), name="shared-buffers", daemon=True).start()

    def invitation(self) -> dict[str, Any] | Failure:
        """Where buffers are taken, and a name for a new one: 128 bits that nobody can guess."""
        if self._directory is None:
            return Failure(Code.SHARED_MEMORY_OFF, "shared memory is off in this service: send the pages' bytes")
        return {
            "schema": "quintet.rings/1",
            "directory": os.fsencode(self._directory).decode("utf-8", "backslashreplace"),
            "ring": secrets.token_hex(handshake.NAME_BYTES),
        }

    def find(self, part: BufferSlice) -> memoryview | Failure:
        """The memory of a slice, read only; only within `reading` is it sure to stay."""
        buffer = self._held.get(part.buffer)
        if buffer is None:
            message = "this worker holds no such shared buffer: attach to its socket, or send the bytes"
            return Failure(Code.UNKNOWN_RING, message)
        end = part.offset + part.length
        if part.offset % ALIGNMENT_BYTES or part.length < 1 or end > len(buffer.view):
            message = f"a slice begins at a multiple of {ALIGNMENT_BYTES} bytes, has a length and ends in its buffer"
            return Failure(Code.INVALID_PARAMETER, message)
        return buffer.view[part.offset : end]

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keep all buffers mapped while a batch is read, also those whose client goes away meanwhile."""
        with self._reading:
            yield

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError as error:  # out of descriptors, say: it may pass, and the service goes on without
                logger.warning("no shared buffer can be taken for now: %s", error)
                time.sleep(_PAUSE_S)
                continue
            if self._connections.acquire(blocking=False):
                threading.Thread(target=self._serve, args=(connection,), name="shared-buffer", daemon=True).start()
            else:
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._keep(self._take(connection), connection)
            except HandshakeError as error:
                logger.warning("a shared buffer was refused: %s", error)
                with contextlib.suppress(OSError):
                    connection.send(str(error).encode())
            except OSError as error:
                logger.debug("a connection broke off: %s", error)
            finally:
                self._connections.release()

    def _take(self, connection: socket.socket) -> SharedBuffer:
        """The buffer that a client offers, held from now on."""
        connection.settimeout(HELLO_WITHIN_S)
        if not handshake.is_of_this_user(connection):
            raise HandshakeError("the client runs as another user than the service")
        hello, descriptor = handshake.receive_hello(connection)
        try:
            view = map_sealed(descriptor, hello.size_bytes, self._settings.shared_memory_bytes)
        finally:
            os.close(descriptor)
        buffer = SharedBuffer(hello.name, view)
        with self._changing:
            if hello.name in self._held:
                raise HandshakeError("there is a shared buffer of this name already")
            if len(self._held) >= self._settings.shared_memory_rings:
                raise HandshakeError(f"this worker holds {len(self._held)} buffers already (shared_memory_rings)")
            self._held[hello.name] = buffer
        return buffer

    def _keep(self, buffer: SharedBuffer, connection: socket.socket) -> None:
        """Hold a buffer until its client says anything more or goes away."""
        connection.settimeout(None)
        try:
            connection.send(handshake.TAKEN)
            # Takes seconds for gigabytes: batches are read meanwhile, this buffer's pages by copies that wait.
            buffer.pinned = self._engine.pin(buffer.view)
            connection.recv(1)
        finally:
            self._let_go(buffer)

    def _let_go(self, buffer: SharedBuffer) -> None:
        """Refuse the name at once, and unmap the memory as soon as the batch is over that may be reading it."""
        with self._changing:
            del self._held[buffer.name]
        with self._reading:
            pass  # later batches cannot find it
        if buffer.pinned:
            self._engine.unpin(buffer.view)
        buffer.view.release()  # unmaps, unless something still looks at it: then when that lets go


def map_sealed(descriptor: int, size_bytes: int, most_bytes: int) -> memoryview:
    """Sealed memory of this user, mapped read only; the client's descriptor stays the caller's to close.

    Raises:
        HandshakeError: it has not the size that the client says, is larger than allowed, or cannot be mapped.
    """
    try:
        sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & SEALS == SEALS
    except OSError:
        sealed = False
    if not sealed:
        raise HandshakeError("the memory is not sealed against shrinking, growing and further seals")
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid():
        raise HandshakeError("the memory belongs to another user than the service")
    if status.st_size != size_bytes or not 0 < size_bytes <= most_bytes:
        raise HandshakeError(f"the memory has {status.st_size} bytes; allowed are what was said and up to {most_bytes}")
    if os.fstatvfs(descriptor).f_bsize != mmap.PAGESIZE:
        raise HandshakeError("the memory is of huge pages, of which there may be none when they are needed")
    try:
        return memoryview(mmap.mmap(descriptor, size_bytes, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ))
    except OSError as error:
        raise HandshakeError(f"the memory cannot be mapped: {error.strerror}") from error
