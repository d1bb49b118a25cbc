"""Passwords of PDFs, out of a file: they are in no command line, no environment, no log and no ledger."""

from collections.abc import Sequence
from pathlib import Path

from quintet_client.errors import UsageError
from quintet_client.service.tokens import read_private

# Each is tried on each PDF that needs one, which takes milliseconds.
MOST_PASSWORDS = 1000


def read_passwords(path: Path | None) -> tuple[str, ...]:
    """The lines of a file, without the empty ones and as they are but for their ends; none without a file.

    Raises:
        UsageError: it cannot be read, others may read it too, or it holds no passwords. The message repeats nothing.
    """
    if path is None:
        return ()
    try:
        text = read_private(path, "the passwords")
    except OSError as error:
        raise UsageError(f"--password-file {path} cannot be read ({error.strerror})") from error
    except ValueError:
        raise UsageError(f"--password-file {path} is no text in UTF-8") from None
    passwords = tuple(line for line in text.removeprefix("\ufeff").split("\n") if line)
    if not 0 < len(passwords) <= MOST_PASSWORDS:
        most = f"from 1 to {MOST_PASSWORDS} are allowed, one a line"
        raise UsageError(f"--password-file {path} holds {len(passwords)} passwords; {most}")
    return passwords


def password_missing(passwords: Sequence[str]) -> str:
    """What to say of a PDF that none of these opens."""
    return "none of those in --password-file opens it" if passwords else "give it with --password-file"
