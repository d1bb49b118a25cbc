"""The command `quintet`: arguments in, exit code out, results on stdout, everything else on stderr."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import FrameType

from quintet_client.errors import ExitCode, InterruptedRunError, QuintetError, UsageError
from quintet_client.exports.exporter import export_results
from quintet_client.exports.registry import NAMES, split_names
from quintet_client.pipeline import Halt
from quintet_client.report import client_version
from quintet_client.settings import (
    DEFAULT_IN_FLIGHT,
    DEFAULT_PACK,
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT_S,
    ExportSettings,
    ReadSettings,
    default_loaders,
)
from quintet_client.tokens import FixedToken, TokenFile
from quintet_client.transport import HttpTransport

_EXIT_CODES = """\
exit codes: 0 every page ok, 1 unexpected error, 2 wrong usage, 3 finished but some pages failed,
4 server unreachable or not ready, 5 not authorised, 6 output cannot be written,
7 every page ok but an export is missing, 130 interrupted (run again to go on)"""

_log = logging.getLogger("quintet")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pikepdf").setLevel(logging.WARNING)  # it greets at INFO when it is imported
    try:
        code: int = parsed.run(parsed)
        return code
    except QuintetError as error:
        _log.error("%s", error)
        return error.exit_code
    except Exception:  # noqa: BLE001 - the command's outermost boundary
        _log.exception("unexpected error")
        return ExitCode.UNEXPECTED


def _read(parsed: argparse.Namespace) -> int:
    settings = ReadSettings(**{field.name: getattr(parsed, field.name) for field in fields(ReadSettings)})
    try:
        from quintet_client.feed import read_all  # noqa: PLC0415 - only this command needs torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UsageError("`quintet read` needs torch, which is not installed: pip install 'quintet[bulk]'") from error
    tokens = TokenFile(settings.token_file) if settings.token_file else FixedToken()
    halt = Halt()
    _stop_on_signals(halt)
    report = read_all(settings, HttpTransport(settings.server, tokens, settings.timeout_s), halt)
    if report.reason:
        _log.error("%s", report.reason)
    sys.stdout.write(report.summary())
    return report.exit_code


def _export(parsed: argparse.Namespace) -> int:
    settings = ExportSettings(**{field.name: getattr(parsed, field.name) for field in fields(ExportSettings)})
    halt = Halt()
    _stop_on_signals(halt)
    tally = export_results(settings, halt)
    sys.stdout.write(tally.summary())
    return ExitCode.OK if tally.complete else ExitCode.EXPORTS_MISSING


def _stop_on_signals(halt: Halt) -> None:
    """Let the first SIGINT or SIGTERM end the run in order, and the second at once."""

    def stop(number: int, _frame: FrameType | None) -> None:
        if halt.pulled:
            os._exit(ExitCode.INTERRUPTED)
        halt.pull(InterruptedRunError(f"interrupted by {signal.Signals(number).name}; run again to go on"))

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quintet", description="Read page images with a Quintet service.")
    parser.add_argument("--version", action="version", version=f"quintet {client_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    read = commands.add_parser(
        "read",
        help="read a folder, a file or a list of files",
        description="Read every page of INPUT into OUTPUT. Run it again to do only what is missing.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    read.add_argument("input_path", metavar="INPUT", type=Path, help="folder (recursive), image, or .txt list of files")
    read.add_argument("output_path", metavar="OUTPUT", type=Path, help="folder for pages/, ledger and report.json")
    _add_server_options(read)
    _add_work_options(read)
    read.set_defaults(run=_read)
    _add_export(commands)
    return parser


def _add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    export = commands.add_parser(
        "export",
        help="make text, Markdown, PDFs or tables of finished results",
        description="Convert the results in OUTPUT into OUTPUT/exports. No page is read again.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = export.add_argument
    add("output_path", metavar="OUTPUT", type=Path, help="folder that `quintet read` wrote")
    add("--to", dest="formats", type=split_names, required=True, metavar="F,…", help=f"of {','.join(NAMES)}")
    add("--input", dest="input_path", type=Path, default=None, metavar="INPUT", help="where the files are now, for pdf")
    add("--writers", type=int, default=4, metavar="N", help="threads that export")
    export.set_defaults(run=_export)


def _add_server_options(read: argparse.ArgumentParser) -> None:
    token_file = os.environ.get("QUINTET_TOKEN_FILE")
    add = read.add_argument
    add("--server", default=os.environ.get("QUINTET_SERVER", DEFAULT_SERVER), metavar="URL")
    add("--token-file", type=Path, default=Path(token_file) if token_file else None, metavar="F")
    add("--timeout-s", type=float, default=DEFAULT_TIMEOUT_S, metavar="T", help="longest silence within a request")
    add("--retries", type=int, default=3, metavar="N", help="tries of a page that kills or stalls its worker")
    add("--give-up-s", type=float, default=120.0, metavar="T", help="longest time without reaching the server")


def _add_work_options(read: argparse.ArgumentParser) -> None:
    add = read.add_argument
    add("--batch", type=int, default=64, metavar="N", help="pages the loader reads at a time")
    add("--loaders", type=int, default=default_loaders(), metavar="N", help="loader processes; 0 for none")
    add("--in-flight", type=int, default=DEFAULT_IN_FLIGHT, metavar="N", help="most pages under way at any time")
    add("--pack", type=int, default=DEFAULT_PACK, metavar="N", help="most pages a request; 1 sends images as they are")
    add("--writers", type=int, default=4, metavar="N", help="threads that write answers")
    add("--limit", type=int, default=None, metavar="N", help="read only the first N pages")
    add("--retry-failed", action="store_true", help="read pages again that failed earlier")
    add("--formats", type=split_names, default=(), metavar="F,…", help=f"export as well, as {','.join(NAMES)}")
    add("--overwrite", action="store_true", help="forget earlier results and start anew")


if __name__ == "__main__":
    sys.exit(main())
