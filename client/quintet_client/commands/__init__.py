"""The commands of `quintet`, one a file: `add_to` names the command's arguments, `run` does its work.

`run` takes the parsed arguments and returns the exit code. It writes results to standard output and everything else to
standard error, and raises `QuintetError` for what the user has to know. Whatever a command alone needs beyond
`requests` is imported in its `run`: `quintet --help` stays quick, and the light install works.
"""

import argparse
from typing import TypeAlias

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
