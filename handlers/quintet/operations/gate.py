"""The gate in front of TorchServe: it lets in as many bytes at once as the front end has memory for.

TorchServe bounds its queue in requests, not in bytes, takes bodies before it looks at tokens, and waits for a body that
does not come for ever. So it listens on sockets of its own folder alone, and the addresses of config.properties are
listened on here. A request is let in by its head, before its body: what does not fit is refused with 503 and
Retry-After. Its bytes count until TorchServe has answered, also when the client is gone: until then they are in its
memory. Bodies pass through in pieces; none is held here.
"""

import asyncio
import json
import logging
import socket
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import h11

from quintet.errors import HTTP_STATUS, Code
from quintet.frame import forms
from quintet.operations.tokens import Tokens

# Connections of one address. Each has two pieces in its buffers at most: 1,024 of them stay below 300 MB.
MOST_CONNECTIONS = 1024
PIECE_BYTES = 64 << 10
HEAD_BYTES = 16 << 10
# From the head of a request to the end of its body. 64 MiB take a tenth of a second on loopback.
BODY_WITHIN_S = 60.0
# A connection that asks for nothing, or does not take its answer.
IDLE_S = 120.0
ANSWER_TAKEN_WITHIN_S = 30.0
# TorchServe forgets requests whose worker was killed while it gathered them, and leaves their connections open. Twice
# its responseTimeout, and far above the 960 s that a client waits.
ANSWERED_WITHIN_S = 1800.0
# A body is large from this part of the budget on: 7 MB of 450, where pages have 0.3 and the client's frames 5.
_LARGE = 64
SERVICE_PATH = b"/service"
_RETRY_AFTER = (b"Retry-After", b"1")
# In the form of TorchServe's own errors, since it is not there to say it.
_NOT_READY = {"code": 502, "type": "NotReadyException", "message": "TorchServe is starting: send this again later"}
# TorchServe would take forms apart, an object for each part; what curl calls any body is none.
_FORMS = {
    b"multipart/form-data": forms.MEDIA_TYPE.encode(),
    b"application/x-www-form-urlencoded": b"application/octet-stream",
}
_HOP_BY_HOP = {b"connection", b"expect", b"keep-alive", b"proxy-connection", b"te", b"upgrade"}
_WRONG_TOKEN = "no token, or a wrong one: send the inference key as Authorization: Bearer"  # noqa: S105 - no token itself
T = TypeVar("T")
_log = logging.getLogger(__name__)


class ByteBudget:
    """How many bytes may be under way at once, and how many are."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0

    def take(self, count: int) -> bool:
        """Count bytes in, if they fit; large bodies leave a quarter to the others."""
        is_large = count > self.most // _LARGE
        if self.taken + count > (self.most * 3 // 4 if is_large else self.most):
            return False
        self.taken += count
        return True

    def give_back(self, count: int) -> None:
        """Count out what was counted in."""
        self.taken -= count


@dataclass(frozen=True)
class Door:
    """One address and the socket of TorchServe behind it."""

    address: str  # a base URL
    upstream: Path
    largest_body: int  # bytes; longer ones are answered with 413
    budget: ByteBudget
    tokens: Tokens | None = None  # without one of them no body is let in; None: all are
    about: Callable[[], Mapping[str, Any]] | None = None  # what GET /service tells here


class _Peer:
    """One side of a connection: events of HTTP over a socket that does not block."""

    def __init__(self, connection: socket.socket, role: type[h11.CLIENT | h11.SERVER]) -> None:
        self.http = h11.Connection(role, max_incomplete_event_size=HEAD_BYTES)
        self.socket = connection

    async def next_event(self) -> h11.Event:
        while not isinstance(event := self.http.next_event(), h11.Event):
            if event is h11.PAUSED:
                raise h11.LocalProtocolError("more was sent than asked for")
            self.http.receive_data(await asyncio.get_running_loop().sock_recv(self.socket, PIECE_BYTES))
        return event

    async def send(self, *events: h11.Event) -> None:
        data = b"".join(self.http.send(event) or b"" for event in events)
        if data:  # an empty send fails where TorchServe has answered and closed already
            await asyncio.get_running_loop().sock_sendall(self.socket, data)


class Gate:
    """Listens on the doors from a thread of its own, from the moment it is made until the process ends."""

    def __init__(self, doors: Iterable[Door]) -> None:
        """Listen.

        Raises:
            OSError: an address is taken.
        """
        listening = [(door, _listen(door.address)) for door in doors]
        self._thread = threading.Thread(target=lambda: asyncio.run(_serve_all(listening)), daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it still listens."""
        return self._thread.is_alive()


def _listen(address: str) -> socket.socket:
    parts = urlsplit(address)
    host = parts.hostname or "127.0.0.1"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    place = host, parts.port or 80
    listening = socket.create_server(place, family=family, backlog=MOST_CONNECTIONS, dualstack_ipv6=host == "::")
    listening.setblocking(False)
    return listening


async def _serve_all(listening: Iterable[tuple[Door, socket.socket]]) -> None:
    await asyncio.gather(*(_serve(door, server) for door, server in listening))


async def _serve(door: Door, server: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    conversations: set[asyncio.Task[None]] = set()
    while True:
        try:
            connection, _ = await loop.sock_accept(server)
        except OSError as error:  # the client is gone already, or all descriptors are in use
            _log.warning("%s: %s", door.address, error)
            await asyncio.sleep(0.1)
            continue
        if len(conversations) >= MOST_CONNECTIONS:
            connection.close()
            continue
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.create_task(_converse(door, connection))
        conversations.add(task)
        task.add_done_callback(conversations.discard)


async def _converse(door: Door, connection: socket.socket) -> None:
    """Answer one request after the other until the client goes, is silent, or is no HTTP."""
    client = _Peer(connection, h11.SERVER)
    try:
        while True:
            async with asyncio.timeout(IDLE_S):
                request = await client.next_event()
            if not isinstance(request, h11.Request):
                return
            await _Exchange(door, client, request).run()
            client.http.start_next_cycle()
    except h11.RemoteProtocolError as error:
        if client.http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            with suppress(OSError, TimeoutError):
                await _within(ANSWER_TAKEN_WITHIN_S, _answer(client, error.error_status_hint, b"", close=True))
    except (OSError, TimeoutError, h11.LocalProtocolError) as error:
        _log.debug("a connection ended: %r", error)
    finally:
        connection.close()


class _Exchange:
    """One request and its answer."""

    def __init__(self, door: Door, client: _Peer, request: h11.Request) -> None:
        self._door = door
        self._client = client
        self._request = request
        self._headers = dict(request.headers)

    async def run(self) -> None:
        length = self._body_bytes()
        if self._door.about is not None and self._request.target == SERVICE_PATH:
            await self._say(200, self._door.about())
        elif length > self._door.largest_body:
            await _answer(self._client, 413, b"", close=True)
        elif not self._has_token():
            await self._pass(allowed=False)
        elif self._door.budget.take(length):
            try:
                await self._pass(allowed=True)
            finally:
                self._door.budget.give_back(length)
        else:
            await self._refuse()
        await self._drain()

    def _body_bytes(self) -> int:
        """What the body takes; without a length it may be the largest."""
        if b"transfer-encoding" in self._headers:
            return self._door.largest_body
        return int(self._headers.get(b"content-length", b"0"))

    def _has_token(self) -> bool:
        return self._door.tokens is None or self._door.tokens.let_in(self._headers.get(b"authorization", b""))

    async def _pass(self, *, allowed: bool) -> None:
        """Have TorchServe answer what is allowed; while it starts nobody knows what that will be."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.setblocking(False)
            try:
                await loop.sock_connect(connection, str(self._door.upstream))
            except OSError:
                await self._say(502, _NOT_READY, _RETRY_AFTER)
                return
            if not allowed:
                await self._say_error(Code.NOT_AUTHORISED, _WRONG_TOKEN, (b"WWW-Authenticate", b"Bearer"))
                return
            upstream = _Peer(connection, h11.CLIENT)
            try:
                await self._pass_request(upstream)
            except BaseException:
                await _discarded(connection)
                raise
            await self._pass_answer(upstream)

    async def _pass_request(self, upstream: _Peer) -> None:
        kept = [pair for pair in self._request.headers.raw_items() if pair[0].lower() not in _HOP_BY_HOP]
        kept = [(name, _in_one_piece(value) if name.lower() == b"content-type" else value) for name, value in kept]
        if self._door.tokens is not None:  # with its own, since it takes no other
            kept = [pair for pair in kept if pair[0].lower() != b"authorization"]
            kept += [(b"Authorization", f"Bearer {own}".encode())] if (own := self._door.tokens.own()) else []
        if b"host" not in self._headers:
            kept.append((b"Host", b"localhost"))
        await upstream.send(h11.Request(method=self._request.method, target=self._request.target, headers=kept))
        if self._client.http.they_are_waiting_for_100_continue:
            await self._client.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
        async with asyncio.timeout(BODY_WITHIN_S):
            while not isinstance(event := await self._client.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.ConnectionClosed):
                    raise ConnectionResetError
                await upstream.send(event)
            await upstream.send(event)

    async def _pass_answer(self, upstream: _Peer) -> None:
        """Hand the answer on; it is read to its end also when nobody takes it."""
        taken = True
        while True:
            event = await _within(ANSWERED_WITHIN_S, _next_of_answer(upstream))
            if isinstance(event, h11.InformationalResponse):
                continue
            if isinstance(event, h11.Response):
                event = _for_client(event)
            if taken:
                taken = await self._hand_on(event)
            if isinstance(event, h11.EndOfMessage):
                break
        if not taken:
            raise ConnectionResetError("the client is gone")

    async def _hand_on(self, event: h11.Event) -> bool:
        try:
            await _within(ANSWER_TAKEN_WITHIN_S, self._client.send(event))
        except (OSError, TimeoutError):
            return False
        return True

    async def _refuse(self) -> None:
        message = f"{self._door.budget.taken} bytes are under way already: send this again in a moment"
        await self._say_error(Code.BUSY, message, _RETRY_AFTER)

    async def _say_error(self, code: Code, message: str, *headers: tuple[bytes, bytes]) -> None:
        request_id = self._headers.get(b"x-request-id", uuid.uuid4().hex.encode()).decode("latin-1")
        error = {"code": code.value, "message": message, "request_id": request_id}
        await self._say(HTTP_STATUS[code], {"error": error}, *headers)

    async def _say(self, status: int, document: Mapping[str, Any], *headers: tuple[bytes, bytes]) -> None:
        await _answer(self._client, status, json.dumps(document).encode() + b"\n", *headers)

    async def _drain(self) -> None:
        """Take what is left of a body, so that a client that sends first and reads then finds its answer."""
        left = self._door.largest_body
        async with asyncio.timeout(BODY_WITHIN_S):
            while left > 0 and self._client.http.their_state is h11.SEND_BODY:
                event = await self._client.next_event()
                left -= len(event.data) if isinstance(event, h11.Data) else 0


def _in_one_piece(content_type: bytes) -> bytes:
    """The type under which TorchServe hands a body on as it is; it knows forms by how their type begins."""
    for form, other in _FORMS.items():
        if content_type.lower().startswith(form):
            return other + content_type[len(form) :]
    return content_type


async def _next_of_answer(upstream: _Peer) -> h11.Event:
    """What TorchServe says next. Its end, or its fault, is no fault of the client, whom a 400 would tell to give up."""
    try:
        event = await upstream.next_event()
    except h11.RemoteProtocolError as error:
        raise ConnectionResetError(f"TorchServe broke off: {error}") from error
    if isinstance(event, h11.ConnectionClosed):
        raise ConnectionResetError("TorchServe closed the connection")
    return event


def _for_client(answer: h11.Response) -> h11.Response:
    """Without what TorchServe says of its own connection."""
    kept = [pair for pair in answer.headers.raw_items() if pair[0].lower() not in _HOP_BY_HOP]
    return h11.Response(status_code=answer.status_code, headers=kept, reason=answer.reason)


async def _answer(client: _Peer, status: int, body: bytes, *headers: tuple[bytes, bytes], close: bool = False) -> None:
    """Answer ourselves."""
    told = [(b"Content-Length", str(len(body)).encode()), (b"Content-Type", b"application/json"), *headers]
    told += [(b"Connection", b"close")] if close else []
    data = [h11.Data(data=body)] if body else []
    await client.send(h11.Response(status_code=status, headers=told), *data, h11.EndOfMessage())


async def _discarded(connection: socket.socket) -> None:
    """Return when TorchServe has let go of a request that was cut short: it closes its end then."""
    with suppress(OSError, TimeoutError):
        connection.shutdown(socket.SHUT_WR)
        while await _within(BODY_WITHIN_S, asyncio.get_running_loop().sock_recv(connection, PIECE_BYTES)):
            pass


async def _within(seconds: float, what: Awaitable[T]) -> T:
    async with asyncio.timeout(seconds):
        return await what
