"""`quintet read`: a folder, a file or a list of files into OUTPUT."""

import argparse
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path

from quintet_client.commands import Subparsers
from quintet_client.commands.connection import add_connection_options
from quintet_client.commands.runs import add_places, add_run_options, cancelled_by_signals, reported
from quintet_client.commands.terminal import Help
from quintet_client.errors import UsageError
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
  quintet read scans/ results/ --include '*.pdf' --exclude drafts
  find scans -name '*.jpg' -mtime -1 -print0 | quintet read - results/ -0
  quintet read s3://bucket/scans results/          every image, PDF and TIFF below a prefix
  quintet read s3://bucket/scans s3://bucket/read  the same, results as Parquet parts below a prefix
  quintet read scans/ results/ --json | jq -c 'select(.event == "page_failed")'

exit codes:
  0 every page ok, 1 unexpected error, 2 wrong usage, 3 finished but some pages failed, 4 server unreachable or not
  ready, 5 not authorised, 6 output cannot be written, 7 every page ok but an export
  is missing, 130 interrupted (run again to go on)"""


def add_to(commands: Subparsers) -> None:
    """Add `read`."""
    parser = commands.add_parser(
        "read",
        help="read a folder, a file or a list of files",
        description="Read every page of INPUT into OUTPUT. Run it again to do only what is missing.",
        epilog=_EPILOG,
        formatter_class=Help,
    )
    add_places(parser, "folder for pages/, ledger and report.json, or an address, for parts in Parquet")
    # The settings' own defaults are the options'; the paths are placeholders, since both arguments have to be given.
    parser.set_defaults(**asdict(ReadSettings(Path(), Path())))
    add_connection_options(parser)
    _add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read, and print the summary or the events."""
    return reported(options, lambda events: _read(options, events))


def _read(options: argparse.Namespace, events: Events) -> Report:
    settings = ReadSettings(**{field.name: getattr(options, field.name) for field in fields(ReadSettings)})
    if settings.loaders and find_spec("torch") is None:  # the loader's process imports it
        raise UsageError("`quintet read` needs torch, which is not installed: pip install 'quintet[bulk]'")
    from quintet_client.run.reading import read_all  # noqa: PLC0415 - 50 ms that no other command needs

    cancellation = cancelled_by_signals()
    services = {
        str(place): HttpTransport(place, tokens, settings.timeout_s, settings.model, settings.leave_out)
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


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--timeout-s", type=float, metavar="T", help="longest silence within a request, in seconds")
    add("--retries", type=int, metavar="N", help="tries of a page that kills or stalls its worker")
    add("--give-up-s", type=float, metavar="T", help="longest time without reaching the server, in seconds")
    add("--batch", type=int, metavar="N", help="pages the loader reads at a time")
    add("--loaders", type=int, metavar="N", help="loader processes; 0 for none")
    add("--in-flight", type=int, metavar="N", help="most pages under way at any time")
    add("--pack", type=int, metavar="N", help="most pages a request; not given, as many as are read within seconds")
    add("--writers", type=int, metavar="N", help="threads that write answers")
    add("--shared-memory", action="store_true", help="decode here, into memory that a service on this machine reads")
    add("--shared-memory-mb", type=int, metavar="N", help="how much memory, in MiB")
    add("--formats", type=split_names, metavar="F,…", help=f"export as well, as {','.join(NAMES)}")
    add_run_options(parser)
