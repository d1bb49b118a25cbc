"""How a command reaches the service: `--server`, `--model`, `--token-file`, and their environment variables."""

import argparse
import os
from pathlib import Path

from quintet_client.service.transport import DEFAULT_MODEL, DEFAULT_SERVER

SERVER_VARIABLE = "QUINTET_SERVER"
MODEL_VARIABLE = "QUINTET_MODEL"
TOKEN_FILE_VARIABLE = "QUINTET_TOKEN_FILE"  # noqa: S105 - the name of a variable, not a token


def add_connection_options(parser: argparse.ArgumentParser) -> None:
    """Add `--server`, `--model`, `--token-file` and `--verbose`."""
    add = parser.add_argument
    add(
        "--server",
        default=os.environ.get(SERVER_VARIABLE, DEFAULT_SERVER),
        metavar="URL",
        help=f"inference address; {SERVER_VARIABLE} or {DEFAULT_SERVER} if not given",
    )
    add(
        "--model",
        default=os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL,
        metavar="NAME",
        help=f"name of the served model to ask; {MODEL_VARIABLE} or {DEFAULT_MODEL}, which reads pages",
    )
    add(
        "--token-file",
        type=Path,
        default=os.environ.get(TOKEN_FILE_VARIABLE) or None,
        metavar="F",
        help=f"TorchServe's key_file.json, or a file with the token alone; {TOKEN_FILE_VARIABLE} if not given",
    )
    add("--verbose", "-v", action="store_true", help="log every request with its id")
