"""`quintet completion`: a script that teaches a shell the commands, options and kinds of files."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from quintet_client.commands import Subparsers

SHELLS = ("bash", "zsh", "fish")
_EPILOG = """\
examples:
  source <(quintet completion bash)                                    this shell
  quintet completion bash > ~/.local/share/bash-completion/completions/quintet
  quintet completion zsh > "${fpath[1]}/_quintet"
  quintet completion fish > ~/.config/fish/completions/quintet.fish"""


def add_to(commands: Subparsers) -> None:
    """Add `completion`."""
    parser = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        description="Print a script that completes commands, options and paths of `quintet`.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    import shtab  # noqa: PLC0415 - no other command needs it

    parser: argparse.ArgumentParser = options.parser
    _complete_paths(parser, shtab.FILE)
    sys.stdout.write(shtab.complete(parser, options.shell) + "\n")
    return 0


def _complete_paths(parser: argparse.ArgumentParser, kind: Mapping[str, object]) -> None:
    """Have paths completed wherever a command takes one: in arguments called so, folders being files to a shell."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_paths(command, kind)
        elif action.type is Path or action.dest.endswith("_path"):
            action.complete = kind  # type: ignore[attr-defined]  # shtab's own mark
