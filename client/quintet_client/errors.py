"""The client's exit codes and typed errors."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of `quintet`. They are API: scripts branch on them."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    SOME_FAILED = 3
    SERVER_UNREACHABLE = 4
    NOT_AUTHORISED = 5
    OUTPUT_UNWRITABLE = 6
    EXPORTS_MISSING = 7
    INTERRUPTED = 130


class QuintetError(Exception):
    """The base of every error this package raises on purpose; `exit_code` is what the CLI makes of it."""

    exit_code = ExitCode.UNEXPECTED


class UsageError(QuintetError):
    """An argument, setting or input is wrong; the message names it, says what is allowed and what to do."""

    exit_code = ExitCode.USAGE


class ModelMismatchError(QuintetError):
    """The server answers with another model fingerprint than the results already in OUTPUT."""

    exit_code = ExitCode.USAGE


class ServerUnreachableError(QuintetError):
    """The server was unreachable or not ready for longer than the client was told to wait."""

    exit_code = ExitCode.SERVER_UNREACHABLE


class NotAuthorisedError(QuintetError):
    """The server refused the token, and the token file holds no newer one."""

    exit_code = ExitCode.NOT_AUTHORISED


class OutputUnwritableError(QuintetError):
    """OUTPUT cannot be written, or another client is writing it."""

    exit_code = ExitCode.OUTPUT_UNWRITABLE


class InterruptedRunError(QuintetError):
    """A signal ended the run; the ledger knows what is left."""

    exit_code = ExitCode.INTERRUPTED


class PageError(QuintetError):
    """One page could not be read; its neighbours are not concerned.

    `code` is stable, such as IMAGE_DECODE_FAILED; `request_id` finds the request in the server's log; it may be empty.
    """

    exit_code = ExitCode.SOME_FAILED

    def __init__(self, code: str, message: str, request_id: str = "") -> None:
        super().__init__(code, message, request_id)  # what it is made from again when it crosses a process
        self.code = code
        self.message = message
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
