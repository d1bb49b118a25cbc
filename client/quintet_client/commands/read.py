"""`quintet read`: a folder, a file or a list of files into OUTPUT."""

import argparse
import logging
import os
import signal
import sys
from dataclasses import asdict, fields
from pathlib import Path
from types import FrameType

from quintet_client.cancellation import Cancellation
from quintet_client.commands import Subparsers
from quintet_client.commands.connection import add_connection_options
from quintet_client.commands.places import place
from quintet_client.commands.terminal import coloured
from quintet_client.errors import ExitCode, InterruptedRunError, QuintetError, UsageError
from quintet_client.input.addresses import Address
from quintet_client.input.sources import STANDARD_INPUT
from quintet_client.output.formats import NAMES, split_names
from quintet_client.run.events import Events
from quintet_client.run.report import Report
from quintet_client.run.settings import ReadSettings
from quintet_client.service.addresses import services_of
from quintet_client.service.transport import HttpTransport

_EPILOG = """\
examples:
  quintet read scans/ results/                     every image, PDF and TIFF below scans/
  quintet read scans/ results/                     again: only what is missing or has changed
  quintet read page.jpg results/ --overwrite       one page, whatever results/ holds
  find scans -name '*.jpg' -mtime -1 -print0 | quintet read - results/ -0
  quintet read s3://bucket/scans results/          every image, PDF and TIFF below a prefix
  quintet read s3://bucket/scans s3://bucket/read  the same, results as Parquet parts below a prefix
  quintet read scans/ results/ --json | jq -c 'select(.event == "page_failed")'

exit codes:
  0 every page ok, 1 unexpected error, 2 wrong usage, 3 finished but some pages failed, 4 server unreachable or not
  ready, 5 not authorised, 6 output cannot be written, 7 every page ok but an export
  is missing, 130 interrupted (run again to go on)"""

_log = logging.getLogger("quintet")


def add_to(commands: Subparsers) -> None:
    """Add `read`."""
    parser = commands.add_parser(
        "read",
        help="read a folder, a file or a list of files",
        description="Read every page of INPUT into OUTPUT. Run it again to do only what is missing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "input_path",
        metavar="INPUT",
        type=_input_path,
        help="folder (recursive), image, PDF, .tar or .parquet of images, .txt list or Parquet manifest of files, - for"
        " a list on standard input, or an address of any of these: s3://, gs://, az:// or file://",
    )
    add(
        "output_path",
        metavar="OUTPUT",
        type=place,
        help="folder for pages/, ledger and report.json, or an address, for parts in Parquet",
    )
    # The settings' own defaults are the options'; the paths are placeholders, since both arguments have to be given.
    parser.set_defaults(**asdict(ReadSettings(Path(), Path())))
    add_connection_options(parser)
    _add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read, and print the summary or the events."""
    events = Events(sys.stdout if options.json else None)
    try:
        settings = ReadSettings(**{field.name: getattr(options, field.name) for field in fields(ReadSettings)})
        report = _read(settings, events)
    except Exception as error:
        code = error.exit_code if isinstance(error, QuintetError) else ExitCode.UNEXPECTED
        events.end(code, str(error) or type(error).__name__, None)
        raise
    events.end(report.exit_code, report.reason, report.document())
    if report.reason:
        _log.error("%s", report.reason)
    if not options.json:
        first, rest = report.summary().split("\n", 1)
        colour = "green" if report.exit_code == ExitCode.OK else "red"
        sys.stdout.write(f"{coloured(first, colour, sys.stdout)}\n{rest}")
    return report.exit_code


def _read(settings: ReadSettings, events: Events) -> Report:
    try:
        from quintet_client.run.reading import read_all  # noqa: PLC0415 - only this command needs torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UsageError("`quintet read` needs torch, which is not installed: pip install 'quintet[bulk]'") from error
    cancellation = cancelled_by_signals()
    services = {
        str(place): HttpTransport(place, tokens, settings.timeout_s, settings.model)
        for place, tokens in services_of(settings.servers, settings.token_files or ())
    }
    if not settings.shared_memory:
        return read_all(settings, services, cancellation, events)
    (name, http), *others = services.items()
    if others:
        raise UsageError(f"--shared-memory works with one service, and {settings.servers[0]} has several addresses")
    from quintet_client.shared_memory.transport import shared_memory  # noqa: PLC0415 - needs an operating system that has it

    with shared_memory(http, settings.shared_memory_mb, settings.loaders, cancellation) as (transport, slabs):
        return read_all(settings, {name: transport}, cancellation, events, slabs)


def cancelled_by_signals() -> Cancellation:
    """A cancellation by the first SIGINT or SIGTERM; the second ends the process at once."""
    cancellation = Cancellation()

    def stop(number: int, _frame: FrameType | None) -> None:
        if cancellation.cancelled:
            os._exit(ExitCode.INTERRUPTED)
        cancellation.cancel(InterruptedRunError(f"interrupted by {signal.Signals(number).name}; run again to go on"))

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return cancellation


def _input_path(text: str) -> Path | Address:
    """INPUT as a path; a file that is really called "-" is given as "./-", which `Path` would fold into "-"."""
    path = place(text)
    return Path.cwd() / path if path == STANDARD_INPUT and text != "-" else path


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--timeout-s", type=float, metavar="T", help="longest silence within a request")
    add("--retries", type=int, metavar="N", help="tries of a page that kills or stalls its worker")
    add("--give-up-s", type=float, metavar="T", help="longest time without reaching the server")
    add("--batch", type=int, metavar="N", help="pages the loader reads at a time")
    add("--loaders", type=int, metavar="N", help="loader processes; 0 for none")
    add("--in-flight", type=int, metavar="N", help="most pages under way at any time")
    add("--pack", type=int, metavar="N", help="most pages a request; not given, as many as are read within seconds")
    add("--writers", type=int, metavar="N", help="threads that write answers")
    add("--shared-memory", action="store_true", help="decode here, into memory that a service on this machine reads")
    add("--shared-memory-mb", type=int, metavar="N", help="how much memory")
    add("--dpi", type=int, metavar="N", help="pixels an inch that pages of PDFs are rendered at")
    add("--limit", type=int, metavar="N", help="read only the first N pages")
    add("--retry-failed", action="store_true", help="read pages again that failed earlier")
    add("--formats", type=split_names, metavar="F,…", help=f"export as well, as {','.join(NAMES)}")
    add("--overwrite", action="store_true", help="forget earlier results and start anew")
    add("--prune", action="store_true", help="remove the results of files that are gone")
    add("-0", "--null", dest="null_names", action="store_true", help="names in a list end with NUL, as of find -print0")
    add("--json", action="store_true", help="progress on standard output, one JSON object a line")
