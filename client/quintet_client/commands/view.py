"""`quintet view` and `quintet report`: their arguments, and what they do with them."""

import argparse
import logging
import signal
import sys
import webbrowser
from contextlib import closing, suppress
from pathlib import Path

from quintet_client.commands import Subparsers
from quintet_client.commands.places import add_password_file, place
from quintet_client.errors import ExitCode, UsageError
from quintet_client.input.addresses import Address
from quintet_client.input.documents.passwords import read_passwords
from quintet_client.viewer.data.run import Run
from quintet_client.viewer.data.summary import shown
from quintet_client.viewer.report import DEFAULT_SAMPLE, write_report
from quintet_client.viewer.server import Server
from quintet_client.viewer.site import Site

_log = logging.getLogger("quintet")


def add_view(commands: Subparsers) -> None:
    """Add `quintet view` to the commands."""
    view = commands.add_parser(
        "view",
        help="browse a run in a web browser",
        description="Serve pages to browse a run on this machine alone, until Ctrl-C. Nothing in OUTPUT is changed.",
    )
    _add_folders(view)
    view.add_argument("--port", type=int, default=0, metavar="N", help="port on 127.0.0.1; 0 takes a free one")
    view.add_argument("--open", action="store_true", dest="open_browser", help="open the default browser")
    view.set_defaults(run=_view)


def add_report(commands: Subparsers) -> None:
    """Add `quintet report` to the commands."""
    report = commands.add_parser(
        "report",
        help="write a run as one HTML file",
        description="Write charts, failures and a sample of pages as one HTML file that needs nothing beside it.",
    )
    _add_folders(report)
    report.add_argument("--html", type=Path, default=None, metavar="FILE", help="default: OUTPUT/report.html")
    report.add_argument("--sample", type=int, default=DEFAULT_SAMPLE, metavar="N", help="pages to draw; 0 for none")
    report.set_defaults(run=_report)


def _add_folders(command: argparse.ArgumentParser) -> None:
    command.add_argument("output_path", metavar="OUTPUT", type=place, help="a folder or an address that was written")
    command.add_argument(
        "--input", type=place, default=None, metavar="INPUT", dest="input_path", help="where its INPUT is now, if moved"
    )
    add_password_file(command)


def _run_of(parsed: argparse.Namespace) -> Run:
    return Run(parsed.output_path, parsed.input_path, read_passwords(parsed.password_file))


def _view(parsed: argparse.Namespace) -> int:
    if not 0 <= parsed.port < 1 << 16:
        raise UsageError(f"--port is {parsed.port}; allowed are 0 to 65535")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    with (
        suppress(KeyboardInterrupt),
        closing(Site(_run_of(parsed))) as site,
        Server(site, parsed.port) as server,
    ):
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        _log.info("the address holds the key: whoever has it can look; Ctrl-C ends")
        if parsed.open_browser:
            webbrowser.open(server.url)
        server.serve_forever()
    _log.info("ended")
    return ExitCode.OK


def _report(parsed: argparse.Namespace) -> int:
    if parsed.html is None and isinstance(parsed.output_path, Address):
        raise UsageError("--html FILE has to be given where OUTPUT is an address")
    target = parsed.html or parsed.output_path / "report.html"
    if parsed.sample < 0:
        raise UsageError(f"--sample is {parsed.sample}; the least allowed is 0")
    with closing(_run_of(parsed)) as run:
        size = write_report(run, target, parsed.sample)
    sys.stdout.write(f"{shown(target)} ({size / 1e6:.2f} MB)\n")
    return ExitCode.OK
