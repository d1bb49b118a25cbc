"""`quintet --version`: the client's version, and which models the service reads with.

The models are the service's, not the client's: it alone can say, and it names them in the answer to a page.
"""

import argparse
import sys
import zlib
from collections.abc import Sequence

from quintet_client.commands.connection import default_server, default_token_file
from quintet_client.errors import UsageError
from quintet_client.run.report import client_version
from quintet_client.service.outcomes import Answered, Unauthorised
from quintet_client.service.tokens import FixedToken, TokenFile
from quintet_client.service.transport import HttpTransport, Item

# A blank page takes a quarter of a second on two idle cores. Nobody wants to wait long for a version.
ANSWERS_WITHIN_S = 2.0


class ShowVersion(argparse.Action):
    """Prints and ends, like argparse's own `version`."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        """Print the client's version at once, then what the server says."""
        sys.stdout.write(f"quintet {client_version()}\n")
        sys.stdout.flush()
        sys.stdout.write(f"models {models_line(default_server())}\n")
        parser.exit()


def models_line(server: str) -> str:
    """The fingerprint of the models behind a server, or why it is not known, in one line."""
    try:
        token_file = default_token_file()
        tokens = TokenFile(token_file, grace_s=0.0) if token_file else FixedToken()
        outcome = HttpTransport(server, tokens, ANSWERS_WITHIN_S).read(Item("blank page", blank_page()))
    except UsageError as error:
        return f"unknown: {error}"
    if isinstance(outcome, Answered):
        return f"{outcome.model} at {server}"
    if isinstance(outcome, Unauthorised):
        return f"unknown: {server} wants another token; name its key file in QUINTET_TOKEN_FILE"
    return f"unknown: no answer from {server} within {ANSWERS_WITHIN_S:.0f} s ({outcome.message})"


def blank_page(side_px: int = 32) -> bytes:
    """A white square as PNG, written by hand: the client has no imaging library."""
    header = side_px.to_bytes(4) * 2 + bytes([8, 0, 0, 0, 0])  # 8 bits of grey
    rows = (b"\0" + b"\xff" * side_px) * side_px
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)
