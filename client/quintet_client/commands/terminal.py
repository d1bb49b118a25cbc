"""Colours: on a terminal alone, and not where NO_COLOR (no-color.org) or TERM=dumb says so."""

import logging
import os
from typing import TextIO

_CODES = {"red": 31, "green": 32, "yellow": 33}
_LEVELS = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """The text as this stream shows it: red, green or yellow, or as it is."""
    takes_colours = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if takes_colours else text


class LogFormatter(logging.Formatter):
    """Time, level and message; the level in its colour."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._stream = stream

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line without a traceback."""
        line = super().formatMessage(record)
        colour = _LEVELS.get(record.levelno)
        return line.replace(record.levelname, coloured(record.levelname, colour, self._stream), 1) if colour else line


def log_to(stream: TextIO) -> None:
    """Send the log to a stream, unless this process has a log already."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogFormatter(stream))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
