"""What a person sees of commands: help, and colours, which are for terminals that want them (no-color.org)."""

import argparse
import logging
import os
from typing import TextIO

_CODES = {"red": 31, "green": 32, "yellow": 33}
_LEVELS = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps examples as they are written, and names the defaults of options that have one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_one = action.default not in (None, ()) and action.default is not False
        return super()._get_help_string(action) if has_one else action.help


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """The text as this stream shows it: red, green or yellow, or as it is."""
    takes_colours = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if takes_colours else text


def log_to(stream: TextIO) -> None:
    """Send the log to a stream, its levels in colour, unless this process has a log already."""
    if not logging.root.handlers:
        for level, colour in _LEVELS.items():
            logging.addLevelName(level, coloured(logging.getLevelName(level), colour, stream))
        logging.basicConfig(stream=stream, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
