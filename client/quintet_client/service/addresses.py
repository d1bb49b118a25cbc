"""Which services there are: several `--server`s, and names that resolve to several addresses."""

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from requests import Session
from requests.adapters import HTTPAdapter

from quintet_client.errors import UsageError
from quintet_client.service.tokens import TokenSource, tokens_of

# More would be a mistake in a list or a zone: each has a connection a thread, and a thread that asks it at the start.
MOST_SERVICES = 256


class Place(NamedTuple):
    """Where one service is.

    Attributes:
        server: base URL, as it was given.
        address: the IP address to connect to; None connects to whatever the server's name resolves to.
    """

    server: str
    address: str | None = None

    def __str__(self) -> str:
        return f"{self.server} at {self.address}" if self.address else self.server

    @property
    def url(self) -> str:
        """The base URL to send requests to."""
        if self.address is None:
            return self.server.rstrip("/")
        parts = urlsplit(self.server)
        host = f"[{self.address}]" if ":" in self.address else self.address
        return parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host).geturl().rstrip("/")


def check_servers(servers: Sequence[str], token_files: Sequence[Path]) -> None:
    """Raise UsageError unless these are servers, each once, and a token file for all of them or one for each."""
    if not servers:
        raise UsageError("--server is empty; give a URL such as http://127.0.0.1:8080")
    if len(servers) > MOST_SERVICES:
        raise UsageError(f"--server names {len(servers)} servers; the most allowed are {MOST_SERVICES}")
    for server in servers:
        if [other.rstrip("/") for other in servers].count(server.rstrip("/")) > 1:
            raise UsageError(f"--server names {server} twice; give each service once")
    if len(token_files) > 1 and len(token_files) != len(servers):
        raise UsageError(
            f"there are {len(token_files)} --token-file for {len(servers)} --server; give one for all, or one for each"
        )


def services_of(servers: Sequence[str], token_files: Sequence[Path]) -> list[tuple[Place, TokenSource]]:
    """Every service with its tokens; a name that resolves to several addresses is several services.

    Raises:
        UsageError: as `check_servers`, or a token file holds no token.
    """
    check_servers(servers, token_files)
    tokens = [tokens_of(file) for file in token_files] or [tokens_of(None)]
    tokens = tokens * len(servers) if len(tokens) == 1 else tokens
    return [(place, source) for server, source in zip(servers, tokens, strict=True) for place in _places(server)]


def _places(server: str) -> list[Place]:
    """A server's addresses if it has several of one kind, otherwise the server alone, which need not have one now."""
    try:
        parts = urlsplit(server)
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):  # what is no URL is refused by whoever connects
        return [Place(server)]
    # A machine with one address of each kind is one service: with both, the older kind counts.
    for family in (socket.AF_INET, socket.AF_INET6):
        addresses = dict.fromkeys(str(where[0]) for kind, *_, where in found if kind == family)
        if len(addresses) > 1:
            return [Place(server, address) for address in addresses][:MOST_SERVICES]
        if addresses:
            break
    return [Place(server)]


class NamedAdapter(HTTPAdapter):
    """Connects to the address of a place, but has TLS ask for its name and check the name's certificate."""

    def __init__(self, place: Place) -> None:
        name = urlsplit(place.server).hostname if place.address else None
        self._tls: dict[str, Any] = {"server_hostname": name, "assert_hostname": name} if name else {}
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - requests' own arguments
        """Make pools with these options; urllib3 leaves them out where there is no TLS."""
        super().init_poolmanager(*arguments, **{**options, **self._tls})


def name_host(session: Session, place: Place) -> None:
    """Have a session's requests to an address name the host that it stands for, in their header and for TLS."""
    if place.address:
        session.headers["Host"] = urlsplit(place.server).netloc.rpartition("@")[2]
        for scheme in ("http://", "https://"):
            session.mount(scheme, NamedAdapter(place))
