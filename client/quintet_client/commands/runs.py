"""What `quintet read` and `quintet batch` have in common: INPUT and OUTPUT, options, signals, the last words."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from quintet_client.cancellation import Cancellation
from quintet_client.commands.connection import Gathered
from quintet_client.commands.places import add_password_file, place
from quintet_client.commands.terminal import coloured
from quintet_client.errors import ExitCode, InterruptedRunError, QuintetError
from quintet_client.input.addresses import Address
from quintet_client.input.sources import STANDARD_INPUT
from quintet_client.output.formats import split_names
from quintet_client.run.events import Events
from quintet_client.run.report import Report

_log = logging.getLogger("quintet")


def add_places(parser: argparse.ArgumentParser, output: str) -> None:
    """Add INPUT and OUTPUT, which is described by `output`."""
    parser.add_argument(
        "input_path",
        metavar="INPUT",
        type=_input_path,
        help="folder (recursive), image, PDF, .tar or .parquet of images, .txt list or Parquet manifest of files, - for"
        " a list on standard input, or an address of any of these: s3://, gs://, az:// or file://",
    )
    parser.add_argument("output_path", metavar="OUTPUT", type=place, help=output)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `RunSettings`, and `--json`."""
    add = parser.add_argument
    add("--leave-out", type=split_names, metavar="S,…", help="stages to read pages without, such as layout")
    add("--dpi", type=int, metavar="N", help="pixels an inch that pages of PDFs are rendered at")
    add("--limit", type=int, metavar="N", help="read only the first N pages")
    add("--retry-failed", action="store_true", help="read pages again that failed earlier")
    add("--overwrite", action="store_true", help="forget earlier results and start anew")
    add("--prune", action="store_true", help="remove the results of files that are gone")
    add("--include", action=Gathered, metavar="GLOB", help="read only what matches; a name at any depth, or a path")
    add("--exclude", action=Gathered, metavar="GLOB", help="leave out what matches, folders with what is in them")
    add("--hidden", action="store_true", help="read hidden files too, and those that macOS writes beside others")
    add_password_file(parser)
    add("-0", "--null", dest="null_names", action="store_true", help="names in a list end with NUL, as of find -print0")
    add("--json", action="store_true", help="progress on standard output, one JSON object a line")


def reported(options: argparse.Namespace, work: Callable[[Events], Report]) -> int:
    """Do the work of a run, and print its summary or events; returns the exit code."""
    events = Events(sys.stdout if options.json else None)
    try:
        report = work(events)
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
