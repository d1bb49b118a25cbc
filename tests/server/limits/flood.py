"""Many large bodies at once, whole or half-sent, as someone sends them who wants to end the service."""

import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

BODY_BYTES = 60 << 20


def head(token: str | None, length: int, path: str = "/predictions/quintet") -> bytes:
    """The head of a POST of octets."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}"
        f"Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def send(url: str, token: str | None, sent: int, length: int = BODY_BYTES, timeout_s: float = 120) -> str:
    """Send the first bytes of a body; returns the status of the answer, or how the connection ended."""
    address = urlsplit(url)
    chunk = bytes(1 << 20)
    try:
        with socket.create_connection((address.hostname, address.port), timeout=timeout_s) as connection:
            connection.sendall(head(token, length))
            try:
                for begin in range(0, sent, len(chunk)):
                    connection.sendall(chunk[: sent - begin])
            except OSError:
                pass  # refused before the end: the answer may still stand in the socket
            answer = connection.recv(4096)
            return answer.split(b" ", 2)[1].decode() if answer else "closed"
    except TimeoutError:
        return "silent"
    except OSError as error:
        return type(error).__name__


def flood(url: str, token: str | None, count: int, sent: int = BODY_BYTES, timeout_s: float = 120) -> Counter[str]:
    """How so many bodies at once were answered."""
    with ThreadPoolExecutor(count) as threads:
        return Counter(threads.map(lambda _: send(url, token, sent, timeout_s=timeout_s), range(count)))


class PeakMemory:
    """The largest resident size of a process, sampled ten times a second from a thread."""
