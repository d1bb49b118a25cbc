"""`quintet status`: whether a service reads pages now, for people and for probes."""

import argparse
import sys

from quintet_client.commands import Subparsers
from quintet_client.commands.connection import add_connection_options
from quintet_client.commands.terminal import Help
from quintet_client.errors import ExitCode, UsageError
from quintet_client.service.addresses import check_servers
from quintet_client.service.status import ask


def add_to(commands: Subparsers) -> None:
    """Add `status`."""
    parser = commands.add_parser(
        "status",
        help="whether a service reads pages now",
        description="Have each --server read one tiny page, and say whether that went well. Usable as a probe.",
        formatter_class=Help,
        epilog="exit codes: 0 ready, 2 wrong usage, 4 unreachable or not ready, 5 not authorised",
    )
    add_connection_options(parser)
    add = parser.add_argument
    add("--management", default=None, metavar="URL", help="also ask this address whether all workers are READY")
    add("--timeout-s", type=float, default=10.0, metavar="T", help="longest silence before the service is not ready")
    add("--json", action="store_true", help="print one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask each service, and print its status; gives the exit code of the first that is not ready."""
    servers, token_files = options.servers, options.token_files or ()
    check_servers(servers, token_files)
    if options.management is not None and len(servers) > 1:
        raise UsageError("--management is the address of one service; give one --server")
    exit_code = ExitCode.OK
    for number, server in enumerate(servers):
        token_file = token_files[number % len(token_files)] if token_files else None
        status = ask(server, options.management, token_file, options.timeout_s, options.model)
        sys.stdout.write(status.to_json() if options.json else status.summary())
        exit_code = exit_code or status.exit_code
    return exit_code
