"""Networks that misbehave: a server that accepts and never answers, and a proxy that cuts connections."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silent_server(port: int) -> Iterator[None]:
    """A server that takes connections and requests on a port of the loopback address, and says nothing."""
    held: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                held.append(listening.accept()[0])

    with socket.create_server(("127.0.0.1", port), backlog=128) as listening:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for connection in held:
                connection.close()


class CuttingProxy:
    """Passes bytes on to a port of the loopback address; cuts answers short as often as told."""

    def __init__(self, target_port: int, dice: random.Random) -> None:
        self._target_port = target_port
        self._dice = dice
        self._lock = threading.Lock()
        self._to_cut = 0
        self.cuts = 0
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def cut(self, times: int) -> None:
        """Cut so many of the answers that come next."""
        with self._lock:
            self._to_cut += times

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listening.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._target_port))
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while received := source.recv(65536):
                target.sendall(received)
        _close(source, target)

    def _answer(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while received := source.recv(65536):
                if self._takes_a_cut():
                    target.sendall(received[: self._dice.randrange(len(received))])
                    break
                target.sendall(received)
        _close(source, target)

    def _takes_a_cut(self) -> bool:
        with self._lock:
            cuts = self._to_cut > 0
            self._to_cut -= cuts
            self.cuts += cuts
            return cuts


def _close(*connections: socket.socket) -> None:
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
