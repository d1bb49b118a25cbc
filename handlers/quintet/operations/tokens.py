"""The tokens that open the gate: TorchServe's own key, new at each start, and one that was given and stays.

TorchServe takes no key but its own. So a request with the given token goes on to it with that key.
"""

import contextlib
import hmac
import json
import os
from collections.abc import Callable
from pathlib import Path

from quintet.errors import SettingsError

# What openssl rand -base64 24 gives: 192 bits. TorchServe's own have 48, but change at each start.
LEAST_CHARACTERS = 32
_HOW = "openssl rand -hex 32"


class Tokens:
    """What lets a request in, and what TorchServe is told instead; for the thread of the gate."""

    def __init__(self, key_file: Path, given: Path | None = None) -> None:
        """Take TorchServe's file of keys, and a file with a given token that `read_given` has read once."""
        self._own = _Followed(key_file, lambda file: str(json.loads(file.read_text())["inference"]["key"]))
        self._given = None if given is None else _Followed(given, read_given)

    def let_in(self, authorization: bytes) -> bool:
        """Whether a request may pass, by its header."""
        known = [followed.value() for followed in (self._own, self._given) if followed is not None]
        matches = [hmac.compare_digest(authorization, f"Bearer {token}".encode()) for token in known if token]
        return any(matches)

    def own(self) -> str:
        """TorchServe's key of now; empty while it has none."""
        return self._own.value()


class _Followed:
    """What a file holds, read again when it has changed."""

    def __init__(self, file: Path, read: Callable[[Path], str]) -> None:
        self._file = file
        self._read = read
        self._written_ns = 0
        self._value = ""

    def value(self) -> str:
        # Being written just now, or gone: what was there before is as good.
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, SettingsError):
            if (written_ns := self._file.stat().st_mtime_ns) != self._written_ns:
                self._value, self._written_ns = self._read(self._file), written_ns
        return self._value


def read_given(file: Path) -> str:
    """The token in a file.

    Raises:
        SettingsError: it cannot be read, it is ours and others may read or write it, or it holds no token.
    """
    try:
        with file.open(encoding="utf-8") as opened:
            status = os.fstat(opened.fileno())
            token = opened.read().strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"no token in {file} ({error}): make one with {_HOW}") from error
    # Of another owner it is somebody's who could read it anyway, such as the kubelet's, as ssh has it.
    if status.st_uid == os.getuid() and status.st_mode & 0o077:
        raise SettingsError(f"others may read the token in {file}: chmod 600 {file}")
    if len(token) < LEAST_CHARACTERS or not all("!" <= sign <= "~" for sign in token):
        raise SettingsError(
            f"{file} holds no token: give one word of at least {LEAST_CHARACTERS} printable ASCII characters, such as "
            f"{_HOW} makes"
        )
    return token
