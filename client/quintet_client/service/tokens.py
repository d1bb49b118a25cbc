"""The bearer token: where it comes from, and what happens when the server no longer takes it."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Protocol

from quintet_client.errors import UsageError

# TorchServe writes its key file while it starts; a client that is refused in that moment waits for the new one.
RENEWAL_GRACE_S = 3.0
_POLL_S = 0.2


class TokenSource(Protocol):
    """Gives the token to send, and a newer one after a rejection."""

    def current(self) -> str | None:
        """Return the token to send; None sends none."""

    def renew(self, rejected: str | None) -> bool:
        """Return True if a token other than the rejected one is now current."""


class FixedToken:
    """One token for good, or none."""

    def __init__(self, token: str | None = None) -> None:
        self._token = token

    def current(self) -> str | None:
        """Return the token."""
        return self._token

    def renew(self, rejected: str | None) -> bool:
        """Return whether another thread was refused with something else than the token."""
        return rejected != self._token


class TokenFile:
    """A token in a file, read again when the server refuses it: a restart of TorchServe rotates its key file.

    Safe to share between threads.
    """

    def __init__(self, path: Path, grace_s: float = RENEWAL_GRACE_S, kind: str = "inference") -> None:
        """Read the file.

        Args:
            path: a plain token, or TorchServe's key_file.json.
            grace_s: how long a refused client waits for the file to change before it believes the refusal.
            kind: which of the tokens in key_file.json, `inference` or `management`.

        Raises:
            UsageError: the file cannot be read, others may read it too, or it holds no token.
        """
        self._path = path
        self._grace_s = grace_s
        self._kind = kind
        self._lock = threading.Lock()
        self._given_up_on: str | None = None
        self._token = self._read()

    def current(self) -> str | None:
        """Return the token last read."""
        with self._lock:
            return self._token

    def renew(self, rejected: str | None) -> bool:
        """Read the file again until it differs from the rejected token, at most for the grace time."""
        with self._lock:
            deadline = time.monotonic() + (0 if rejected == self._given_up_on else self._grace_s)
            while self._token == rejected:
                self._token = self._read_again()
                if self._token == rejected and time.monotonic() >= deadline:
                    self._given_up_on = rejected
                    return False
                if self._token == rejected:
                    time.sleep(_POLL_S)
            return True

    def _read_again(self) -> str:
        try:
            return self._read()
        except UsageError:  # gone or half written while the server starts: the old one stands until it is whole
            return self._token

    def _read(self) -> str:
        try:
            return parse_token(_read_private(self._path), self._kind)
        except (OSError, ValueError) as error:
            raise UsageError(f"no token in {self._path} ({error}); give the server's key_file.json") from error


def _read_private(path: Path) -> str:
    """Read a file that is ours alone; like ssh with its keys, what belongs to somebody else is their concern.

    Raises:
        UsageError: it is ours and others may read or write it.
    """
    with path.open(encoding="utf-8") as file:
        status = os.fstat(file.fileno())
        if status.st_uid == os.getuid() and status.st_mode & 0o077:
            raise UsageError(f"others may read the token in {path} (mode {status.st_mode & 0o777:o}): chmod 600 {path}")
        return file.read()


def parse_token(text: str, kind: str = "inference") -> str:
    """Find the token in the text of a token file.

    Args:
        text: a plain token, or JSON as TorchServe writes it: `{"inference": {"key": "..."}}`.
        kind: which of those in JSON.

    Returns:
        The token, fit for an HTTP header.

    Raises:
        ValueError: the text holds no such token.
    """
    token = text.strip()
    if token.startswith("{"):
        try:
            token = json.loads(token)[kind]["key"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'it is JSON without {{"{kind}": {{"key": "..."}}}}') from error
    if not isinstance(token, str) or not token or not all("!" <= sign <= "~" for sign in token):
        raise ValueError("a token is one word of printable ASCII")
    return token
