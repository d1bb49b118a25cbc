"""Paths and addresses as arguments."""

import argparse
from pathlib import Path

from quintet_client.errors import UsageError
from quintet_client.input.addresses import Address, place_of


def place(text: str) -> Path | Address:
    """An argument that is a path or an address; its faults are told as those of an argument."""
    try:
        return place_of(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_password_file(parser: argparse.ArgumentParser) -> None:
    """Add `--password-file`."""
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="F",
        help="passwords of PDFs, one a line; a file that only you may read",
    )
