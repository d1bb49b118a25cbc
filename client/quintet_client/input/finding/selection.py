"""Which files of INPUT are read, by their names: extensions, hidden ones, patterns."""

import re
from dataclasses import dataclass
from functools import cache

from quintet_client.errors import UsageError
from quintet_client.input.finding.left_out import Reason
from quintet_client.input.source import EXTENSIONS

# Of a pattern, as `*` and the others stand in a regular expression.
_WILDCARDS = re.compile(r"\*\*/|/\*\*\Z|\*+|\?|\[[!^]?\]?[^]/]*\]")
_APPLE_FOLDER = "__MACOSX"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is read of a folder, a store, a list or a shard.

    Attributes:
        include: patterns, one of which a file must match; all do if there are none.
        exclude: patterns, none of which it may match.
        hidden: whether hidden files are read, and those that macOS writes beside others.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False

    def __post_init__(self) -> None:
        for option, patterns in (("--include", self.include), ("--exclude", self.exclude)):
            for pattern in patterns:
                try:
                    _expression(pattern)
                except ValueError as error:
                    message = f"{option} is {pattern!r}; give a name or a path, with *, ?, [] or **, such as '*.jpg'"
                    raise UsageError(message) from error

    @property
    def is_narrow(self) -> bool:
        """Whether patterns may leave something out."""
        return bool(self.include or self.exclude)

    def leaves_out(self, relative: str) -> Reason | None:
        """Why a file, by its path below INPUT, is not read whatever its format is; None if it is."""
        return self.hides(relative) or self.excludes(relative)

    def hides(self, relative: str) -> Reason | None:
        """Why a file or folder is not even looked at."""
        if self.hidden or ("/." not in f"/{relative}" and _APPLE_FOLDER not in relative):
            return None
        parts = relative.split("/")
        if any(part.startswith("._") or part == _APPLE_FOLDER for part in parts):
            return Reason.APPLE_DOUBLE
        return Reason.HIDDEN if any(part[:1] == "." and part not in {".", ".."} for part in parts) else None

    def excludes(self, relative: str, *, is_shard: bool = False, is_folder: bool = False) -> Reason | None:
        """Whether patterns leave a path out; of a shard it is what it holds that must match `include`."""
        if not self.is_narrow:
            return None
        path = "/".join(part for part in relative.split("/") if part not in {"", "."}) + "/" * is_folder
        if any(_expression(pattern).fullmatch(path) for pattern in self.exclude):
            return Reason.EXCLUDED
        if is_folder or is_shard or not self.include:
            return None
        return None if any(_expression(pattern).fullmatch(path) for pattern in self.include) else Reason.EXCLUDED


USUAL = Selection()
EVERYTHING = Selection(hidden=True)


def is_read_by_name(name: str) -> bool:
    """Whether a file has an extension that is read."""
    return name.lower().endswith(EXTENSIONS)


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """A pattern as an expression for a whole path; what matches a folder matches all that lies in it.

    As of .gitignore: without a slash, but for one at its end, it is a name at any depth.

    Raises:
        ValueError: it is none.
    """
    name = pattern.removeprefix("./").rstrip("/")
    if not name:
        raise ValueError("it is empty")
    anywhere = "" if "/" in name else "(?:.*/)?"
    name, expression, end = name.lstrip("/"), "", 0
    for found in _WILDCARDS.finditer(name):
        expression += re.escape(name[end : found.start()]) + _wildcard(found.group())
        end = found.end()
    below = "/.*" if pattern.endswith("/") else "(?:/.*)?"
    try:
        return re.compile(anywhere + expression + re.escape(name[end:]) + below, re.DOTALL)
    except re.error as error:
        raise ValueError("a range goes backwards") from error


def _wildcard(text: str) -> str:
    if text.startswith("["):
        inside = text[1:-1]
        negated = inside[:1] in {"!", "^"}
        inside = inside[negated:].replace("\\", r"\\").replace("[", r"\[").replace("]", r"\]").replace("^", r"\^")
        return f"(?!/)[{'^' if negated else ''}{inside}]"
    return {"**/": "(?:.*/)?", "/**": "/.*", "?": "[^/]"}.get(text, "[^/]*")
