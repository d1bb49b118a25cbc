"""The memory of clients, mapped into this worker: pages that lie in it travel as places. docs/wire.md describes it.

A ring lives as long as its client's connection: when that ends, however it ends, the worker lets go of the memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from quintet.errors import Code, Failure, SettingsError
from quintet.frame.frames import Place
from quintet.frame.shared_memory.handshake import (
    ALIGNMENT_BYTES,
    NAME_BYTES,
    TAKEN,
    AttachError,
    is_of_this_user,
    listen,
    receive_hello,
)

# Memory with these can neither shrink under a reader (which would kill the worker) nor lose the seals again.
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
SWITCH = "QUINTET_SHARED_MEMORY"
HELLO_WITHIN_S = 5.0
# Connections that have not said hello yet, besides one for each ring.
_MOST_WAITING = 16
_PAUSE_S = 1.0

logger = logging.getLogger(__name__)


class Pinner(Protocol):
    """What page-locks memory where a device gains by it: the engine."""

    def pin(self, memory: memoryview) -> bool:
        """Whether the memory is page-locked now; then it is given to `unpin` before it is unmapped."""

    def unpin(self, memory: memoryview) -> None:
        """Undo it."""


@dataclass(frozen=True)
class BufferLimits:
    """Whether the service takes rings, and how large ones; these settings stand beside `chain` in model-config.yaml.

    Attributes:
        shared_memory: whether it takes any.
        shared_memory_bytes: most bytes of one ring; on CUDA all of them are page-locked.
        shared_memory_rings: most rings that a worker holds at a time.
    """

    shared_memory: bool = False
    shared_memory_bytes: int = 4 << 30
    shared_memory_rings: int = 4

    @classmethod
    def taken_from(cls, options: dict[str, Any], environment: Mapping[str, str]) -> BufferLimits:
        """Take these keys out of the handler's options, and leave the chain's.

        Args:
            options: the handler's.
            environment: the process's; `QUINTET_SHARED_MEMORY`, if it is not empty, counts instead of `shared_memory`.

        Raises:
            SettingsError: a value is out of range.
        """
        values = {setting.name: options.pop(setting.name) for setting in fields(cls) if setting.name in options}
        if switch := environment.get(SWITCH):
            values["shared_memory"] = {"on": True, "off": False}.get(switch, switch)
        return cls(**values)

    def __post_init__(self) -> None:
        if not isinstance(self.shared_memory, bool):
            raise SettingsError(
                f"shared_memory is {self.shared_memory!r}; allowed are true and false in model-config.yaml, on and off "
                f"in {SWITCH}"
            )
        for key in ("shared_memory_bytes", "shared_memory_rings"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SettingsError(f"{key} is {value!r}; allowed are whole numbers from 1: correct model-config.yaml")


@dataclass(eq=False)
class Ring:
    """One client's memory, mapped read only.

    Attributes:
        name: what its places call it.
        view: all of it.
        pinned: whether it is page-locked.
    """

    name: bytes
    view: memoryview = field(repr=False)
    pinned: bool = False


class SharedBuffers:
    """The rings of one worker. Off until it listens; then each connection has a thread of its own."""

    def __init__(self, limits: BufferLimits, pinner: Pinner) -> None:
        self._limits = limits
        self._pinner = pinner
        self._directory: Path | None = None
        self._held: dict[bytes, Ring] = {}
        self._changing = threading.Lock()
        self._reading = threading.Lock()
        self._room = threading.BoundedSemaphore(limits.shared_memory_rings + _MOST_WAITING)

    def listen(self, directory: Path) -> None:
        """Take rings from now on, where the settings allow it.

        Args:
            directory: of the sockets of all workers of this service, made if it is missing.

        Raises:
            SettingsError: others may enter the directory, or it cannot be made.
        """
        if not self._limits.shared_memory:
            return
        try:
            listener = listen(directory)
        except (AttachError, OSError) as error:
            raise SettingsError(f"shared_memory is true, but no socket can be made: {error}") from error
        self._directory = directory
        threading.Thread(target=self._accept, args=(listener,), name="rings", daemon=True).start()

    def invitation(self) -> dict[str, Any] | Failure:
        """Where rings are taken, and a name for a new one: 128 bits that nobody can guess."""
        if self._directory is None:
            return Failure(Code.SHARED_MEMORY_OFF, "shared memory is off in this service: send the pages' bytes")
        return {
            "schema": "quintet.rings/1",
            "directory": os.fsencode(self._directory).decode("utf-8", "backslashreplace"),
            "ring": secrets.token_hex(NAME_BYTES),
        }

    def find(self, place: Place) -> memoryview | Failure:
        """The memory at a place, read only; only within `reading` is it sure to stay."""
        ring = self._held.get(place.ring)
        if ring is None:
            return Failure(Code.UNKNOWN_RING, "this worker holds no such ring: attach to its socket, or send the bytes")
        end = place.offset + place.length
        if place.offset % ALIGNMENT_BYTES or place.length < 1 or end > len(ring.view):
            message = f"a place begins at a multiple of {ALIGNMENT_BYTES} bytes, has a length and ends inside its ring"
            return Failure(Code.INVALID_PARAMETER, message)
        return ring.view[place.offset : end]

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keep all rings mapped while a batch is read, also those whose client goes away meanwhile."""
        with self._reading:
            yield

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError as error:  # out of descriptors, say: it may pass, and the service goes on without
                logger.warning("no ring can be taken for now: %s", error)
                time.sleep(_PAUSE_S)
                continue
            if self._room.acquire(blocking=False):
                threading.Thread(target=self._serve, args=(connection,), name="ring", daemon=True).start()
            else:
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        """One client, from its hello to its end."""
        with connection:
            try:
                ring = self._take(connection)
                self._keep(ring, connection)
            except AttachError as error:
                logger.warning("a ring was refused: %s", error)
                with contextlib.suppress(OSError):
                    connection.send(str(error).encode())
            except OSError as error:
                logger.debug("a connection broke off: %s", error)
            finally:
                self._room.release()

    def _take(self, connection: socket.socket) -> Ring:
        """The ring that a client offers, held from now on."""
        connection.settimeout(HELLO_WITHIN_S)
        if not is_of_this_user(connection):
            raise AttachError("the client runs as another user than the service")
        hello, descriptor = receive_hello(connection)
        try:
            view = map_sealed(descriptor, hello.size_bytes, self._limits.shared_memory_bytes)
        finally:
            os.close(descriptor)
        ring = Ring(hello.name, view)
        with self._changing:
            if hello.name in self._held:
                raise AttachError("there is a ring of this name already")
            if len(self._held) >= self._limits.shared_memory_rings:
                raise AttachError(f"this worker holds {len(self._held)} rings already (shared_memory_rings)")
            self._held[hello.name] = ring
        return ring

    def _keep(self, ring: Ring, connection: socket.socket) -> None:
        """Hold a ring until its client says anything more or goes away."""
        connection.settimeout(None)
        try:
            connection.send(TAKEN)
            with self._reading:  # CUDA may be recording a graph while a batch is read, and nothing may be pinned then
                ring.pinned = self._pinner.pin(ring.view)
            connection.recv(1)
        finally:
            self._let_go(ring)

    def _let_go(self, ring: Ring) -> None:
        """Refuse the name at once, and unmap the memory as soon as no batch is being read."""
        with self._changing:
            del self._held[ring.name]
        with self._reading:
            if ring.pinned:
                self._pinner.unpin(ring.view)
            ring.view.release()  # unmaps, unless something still looks at it: then when that lets go


def map_sealed(descriptor: int, size_bytes: int, most_bytes: int) -> memoryview:
    """Sealed memory of this user, mapped read only.

    Args:
        descriptor: what a client sent; stays the caller's to close.
        size_bytes: what the client says of it.
        most_bytes: what is allowed.

    Raises:
        AttachError: it is something else, or larger, or cannot be mapped.
    """
    try:
        sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & SEALS == SEALS
    except OSError:
        sealed = False
    if not sealed:
        raise AttachError("the memory is not sealed against shrinking, growing and further seals")
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid():
        raise AttachError("the memory belongs to another user than the service")
    if status.st_size != size_bytes or not 0 < size_bytes <= most_bytes:
        raise AttachError(f"the memory has {status.st_size} bytes; allowed are what was said and up to {most_bytes}")
    if os.fstatvfs(descriptor).f_bsize != mmap.PAGESIZE:
        raise AttachError("the memory is of huge pages, of which there may be none when they are needed")
    try:
        return memoryview(mmap.mmap(descriptor, size_bytes, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ))
    except OSError as error:
        raise AttachError(f"the memory cannot be mapped: {error.strerror}") from error
