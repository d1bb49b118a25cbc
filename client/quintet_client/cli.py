"""The command `quintet`: arguments in, exit code out, results on stdout, everything else on stderr.

Each command is a file in `commands`; this one puts them together.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from quintet_client import __version__
from quintet_client.commands import batch, chain, completion, export, read, service, status
from quintet_client.commands.terminal import log_to
from quintet_client.commands.view import add_report, add_view
from quintet_client.errors import ExitCode, QuintetError

# In the order of `quintet --help`.
_COMMANDS = (
    read.add_to,
    batch.add_to,
    export.add_to,
    add_view,
    add_report,
    status.add_to,
    service.add_serve,
    service.add_stop,
    service.add_models,
    chain.add_to,
    completion.add_to,
)

_EPILOG = """\
examples:
  quintet serve
  quintet read scans/ results/ --token-file KEY_FILE
  quintet read --help
  source <(quintet completion bash)

QUINTET_SERVER, QUINTET_MODEL and QUINTET_TOKEN_FILE stand in for --server, --model and --token-file; QUINTET_TOKEN is
the token itself. NO_COLOR turns colours off."""

_log = logging.getLogger("quintet")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = command_parser().parse_args(arguments)
    log_to(sys.stderr)
    logging.getLogger("quintet_client").setLevel(logging.DEBUG if options.verbose else logging.INFO)
    logging.getLogger("pikepdf").setLevel(logging.WARNING)  # it greets at INFO when it is imported
    try:
        code: int = options.run(options)
    except QuintetError as error:
        _log.error("%s", error)
        return error.exit_code
    except Exception:  # noqa: BLE001 - the command's outermost boundary
        _log.exception("unexpected error")
        return ExitCode.UNEXPECTED
    return code


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="quintet",
        description="Read page images with a Quintet service, here or elsewhere.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"quintet {__version__}")
    parser.set_defaults(verbose=False, parser=parser)  # the parser for `quintet completion`
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add_to in _COMMANDS:
        add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
