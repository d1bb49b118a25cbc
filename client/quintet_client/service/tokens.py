"""The bearer token: where it comes from, and how it is renewed when the server no longer takes it."""

import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from quintet_client.errors import UsageError

# What stands in for a token and for its file where none is given.
TOKEN_VARIABLE, TOKEN_FILE_VARIABLE = "QUINTET_TOKEN", "QUINTET_TOKEN_FILE"
# TorchServe writes its key file while it starts; a client that is refused in that moment waits for the new one.
RENEWAL_GRACE_S = 3.0
_POLL_S = 0.2


class TokenSource(Protocol):
    """Where the bearer token comes from; safe to share between threads."""

    def current(self) -> str | None:
        """Return the token to send; None sends none."""

    def renew(self, rejected: str | None) -> bool:
        """Return True if a token other than the rejected one is now current."""


class FixedToken:
    """One token that never changes, or none."""

    def __init__(self, token: str | None = None) -> None:
        """Take it; raises UsageError if no header can hold it."""
        try:
            self._token = None if token is None else parse_token(token)
        except ValueError as error:
            raise UsageError(f"the token is none: {error}") from error

    def current(self) -> str | None:
        """Return the token."""
        return self._token

    def renew(self, rejected: str | None) -> bool:
        """Return whether something other than the token was refused."""
        return rejected != self._token


class TokenFile:
    """A token in a file, read again when the server refuses it: a restart of TorchServe rotates its key file."""

    def __init__(self, path: Path, grace_s: float = RENEWAL_GRACE_S, kind: str = "inference") -> None:
        """Read the file: a plain token, or TorchServe's key_file.json with one of each kind.

        Args:
            path: the file.
            grace_s: how long a refused client waits for the file to change before it believes the refusal.
            kind: `inference` or `management`.

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
                with suppress(UsageError):  # gone or half written while the server starts: the old one counts
                    self._token = self._read()
                if self._token == rejected:
                    if time.monotonic() >= deadline:
                        self._given_up_on = rejected
                        return False
                    time.sleep(_POLL_S)
            return True

    def _read(self) -> str:
        try:
            return parse_token(read_private(self._path), self._kind)
        except (OSError, ValueError) as error:
            raise UsageError(f"no token in {self._path} ({error}); give the server's key_file.json") from error


def tokens_of(token_file: Path | str | None, grace_s: float = RENEWAL_GRACE_S, kind: str = "inference") -> TokenSource:
    """The tokens of a file, without one the inference token of the environment, or none at all.

    Raises:
        UsageError: as `TokenFile` and `FixedToken` do.
    """
    if token_file:
        return TokenFile(Path(token_file), grace_s, kind)
    return FixedToken(os.environ.get(TOKEN_VARIABLE) or None if kind == "inference" else None)


def read_private(path: Path, what: str = "the token") -> str:
    """Read a file, but refuse one of ours that others may read or write; as ssh does, trust one of another owner.

    Raises:
        UsageError: it is refused; `what` is what others may read.
        OSError, ValueError: it cannot be read, or is no text.
    """
    with path.open(encoding="utf-8") as file:
        status = os.fstat(file.fileno())
        if status.st_uid == os.getuid() and status.st_mode & 0o077:
            raise UsageError(f"others may read {what} in {path} (mode {status.st_mode & 0o777:o}): chmod 600 {path}")
        return file.read()


def parse_token(text: str, kind: str = "inference") -> str:
    """Find the token, fit for an HTTP header, in the text of a token file.

    The text is a plain token, or JSON as TorchServe writes it: `{"inference": {"key": "..."}}`.

    Raises:
        ValueError: it holds no such token.
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
