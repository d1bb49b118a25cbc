"""`quintet export`: finished results as text, Markdown, PDFs, tables or corpora."""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from quintet_client.commands import Subparsers
from quintet_client.commands.places import add_password_file, place
from quintet_client.commands.runs import cancelled_by_signals
from quintet_client.errors import ExitCode
from quintet_client.exports.exporter import ExportSettings, export_results
from quintet_client.output.formats import NAMES, split_names


def add_to(commands: Subparsers) -> None:
    """Add `export`."""
    parser = commands.add_parser(
        "export",
        help="make text, Markdown, PDFs, tables or corpora of finished results",
        description="Convert the results in OUTPUT into OUTPUT/exports, or FOLDER/exports. No page is read again.",
        epilog="exit codes: 0 all made, 2 wrong usage, 6 output cannot be written, 7 an export is missing",
    )
    add = parser.add_argument
    add("output_path", metavar="OUTPUT", type=place, help="folder or address that was written")
    add("--to", dest="formats", type=split_names, required=True, metavar="F,…", help=f"of {','.join(NAMES)}")
    add("--input", dest="input_path", type=place, default=None, metavar="INPUT", help="where the files are, if moved")
    add("--into", type=Path, default=None, metavar="FOLDER", help="for exports/ of an OUTPUT at an address")
    add("--beside-input", action="store_true", help="write beside the files that were read, not into exports/")
    add_password_file(parser)
    add("--writers", type=int, default=4, metavar="N", help="threads that export")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Export, and say what was made."""
    settings = ExportSettings(**{field.name: getattr(options, field.name) for field in fields(ExportSettings)})
    tally = export_results(settings, cancelled_by_signals())
    sys.stdout.write(tally.summary())
    return ExitCode.OK if tally.complete else ExitCode.EXPORTS_MISSING
