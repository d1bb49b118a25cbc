"""How a command reaches the service: `--server`, `--model`, `--token-file`, and their environment variables."""

import argparse
import os
from pathlib import Path
from typing import Any

from quintet_client.service.tokens import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE
from quintet_client.service.transport import DEFAULT_MODEL, DEFAULT_SERVER, MODEL_VARIABLE, SERVER_VARIABLE


class Gathered(argparse.Action):
    """Gathers in a tuple what an option is given several times; `append` would add to the default."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,  # noqa: ANN401 - argparse's own arguments
        option: str | None = None,
    ) -> None:
        """Take one more."""
        before, added = getattr(namespace, self.dest), values if isinstance(values, tuple) else (values,)
        setattr(namespace, self.dest, added if before is self.default else (*before, *added))


def add_connection_options(parser: argparse.ArgumentParser) -> None:
    """Add `--server`, `--model`, `--token-file` and `--verbose`."""
    add, token_file = parser.add_argument, os.environ.get(TOKEN_FILE_VARIABLE)
    add(
        "--server",
        dest="servers",
        type=_words,
        action=Gathered,
        default=os.environ.get(SERVER_VARIABLE, DEFAULT_SERVER),
        metavar="URL",
        help=f"inference address; may be repeated; also {SERVER_VARIABLE}",
    )
    add(
        "--model",
        default=os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL,
        metavar="NAME",
        help=f"name of the served model to ask; also {MODEL_VARIABLE}",
    )
    add(
        "--token-file",
        dest="token_files",
        type=Path,
        action=Gathered,
        default=(Path(token_file),) if token_file else None,
        metavar="F",
        help="TorchServe's key_file.json, or a file with the token alone; may be repeated, in the order of --server; "
        f"also {TOKEN_FILE_VARIABLE}, or the token in {TOKEN_VARIABLE}",
    )
    add("--verbose", "-v", action="store_true", help="log every request with its id")


def _words(text: str) -> tuple[str, ...]:
    """One address or several, separated by commas or spaces."""
    return tuple(text.replace(",", " ").split())
