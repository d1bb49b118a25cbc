"""`quintet chain`: write a chain of your own, and check that it keeps what every chain promises."""

import argparse
import sys
from pathlib import Path

from quintet_client.commands import Subparsers
from quintet_client.errors import ExitCode, UsageError

_EPILOG = """\
examples:
  quintet chain new zoo
  quintet chain check zoo.chain:ZooChain
  quintet chain check pages --bodies scans/"""


def add_to(commands: Subparsers) -> None:
    """Add `chain` and what it can do."""
    chain = commands.add_parser(
        "chain",
        help="write a chain of your own models, and check it",
        description="Write a chain of your own models as a package, and check that it keeps what every chain promises.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = chain.add_subparsers(required=True, metavar="new|check")
    new = kinds.add_parser("new", help="write a small working package of five networks")
    new.add_argument("name", metavar="NAME", help="of the package: lower-case letters, digits and _")
    new.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="where its folder is made")
    new.set_defaults(run=_new)
    check = kinds.add_parser("check", help="test any chain with its real weights", description=_check.__doc__)
    check.add_argument("chain", metavar="MODULE:CLASS", help="the chain, or the name of an installed one")
    check.add_argument(
        "--model-store", type=Path, default=None, metavar="DIR", help="default: where quintet models wrote"
    )
    check.add_argument("--bodies", type=Path, default=None, metavar="DIR", help="files for it, not drawn images")
    check.set_defaults(run=_check)


def _new(options: argparse.Namespace) -> int:
    from quintet.authoring.new import class_name, write_chain  # noqa: PLC0415 - light, but the service's
    from quintet.errors import SettingsError  # noqa: PLC0415

    name = options.name
    try:
        folder = write_chain(name, options.folder)
    except (SettingsError, OSError) as error:
        raise UsageError(str(error)) from error
    sys.stdout.write(
        f"{folder}: a package of five networks. Next:\n"
        f"  pip install --no-deps --no-build-isolation -e {folder}\n"
        f"  quintet models --chain {name}\n"
        f"  quintet chain check {name}.chain:{class_name(name)}\n"
    )
    return ExitCode.OK


def _check(options: argparse.Namespace) -> int:
    """Test a chain with its real weights. Exit code 0: every check is ok; 1: some failed."""
    try:
        from quintet.authoring.check import check_chain  # noqa: PLC0415 - torch, which the light install has not
    except ModuleNotFoundError as error:
        raise UsageError(f"quintet chain check needs {error.name}: pip install 'quintet[serve]'") from error
    from quintet.errors import SettingsError, WeightsError  # noqa: PLC0415

    try:
        failed = check_chain(options.chain, options.model_store, options.bodies, sys.stdout)
    except (SettingsError, WeightsError) as error:
        raise UsageError(str(error)) from error
    return ExitCode.UNEXPECTED if failed else ExitCode.OK
