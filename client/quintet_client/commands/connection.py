"""How a command reaches the service: `--server` and `--token-file`, their environment variables, the token."""

import argparse
import os
from pathlib import Path

from quintet_client.service.tokens import FixedToken, TokenFile, TokenSource
from quintet_client.service.transport import DEFAULT_SERVER

SERVER_VARIABLE = "QUINTET_SERVER"
TOKEN_FILE_VARIABLE = "QUINTET_TOKEN_FILE"  # noqa: S105 - the name of a variable, not a token


def default_server() -> str:
    """Base URL of the inference address: QUINTET_SERVER, else the service on this machine."""
    return os.environ.get(SERVER_VARIABLE, DEFAULT_SERVER)


def default_token_file() -> Path | None:
    """QUINTET_TOKEN_FILE, or None."""
    named = os.environ.get(TOKEN_FILE_VARIABLE)
    return Path(named) if named else None


def add_connection_options(parser: argparse.ArgumentParser) -> None:
    """Add `--server`, `--token-file` and `--verbose`."""
    add = parser.add_argument
    add(
        "--server",
        default=default_server(),
        metavar="URL",
        help=f"inference address; {SERVER_VARIABLE} or {DEFAULT_SERVER} if not given",
    )
    add(
        "--token-file",
        type=Path,
        default=default_token_file(),
        metavar="F",
        help=f"TorchServe's key_file.json, or a file with the token alone; {TOKEN_FILE_VARIABLE} if not given",
    )
    add("--verbose", "-v", action="store_true", help="log every request with its id")


def token_source(token_file: Path | None) -> TokenSource:
    """The tokens of a file, or none at all.

    Raises:
        UsageError: the file holds no token.
    """
    return TokenFile(token_file) if token_file else FixedToken()
