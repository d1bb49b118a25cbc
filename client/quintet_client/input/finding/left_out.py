"""What INPUT holds and is not read, counted by reason."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

_MOST_NAMED = 5


class Reason(StrEnum):
    """Why something is no input; docs/cli.md says what each is. Names are part of `quintet.report/1`."""

    RESULTS = "results"
    HIDDEN = "hidden"
    APPLE_DOUBLE = "apple_double"
    OTHER_FORMAT = "other_format"
    EXCLUDED = "excluded"
    FOLDER_READ_ANYWAY = "folder_read_anyway"
    NOT_REGULAR = "not_regular"
    UNREADABLE = "unreadable"
    REPEATED = "repeated"
    NO_IMAGES = "no_images"


class LeftOut:
    """Counts by reason, and a few names for the log."""

    def __init__(self) -> None:
        self._counts: Counter[Reason] = Counter()
        self._names: dict[Reason, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many files and folders, by reason."""
        return {reason.value: self._counts[reason] for reason in Reason if self._counts[reason]}

    def add(self, reason: Reason, name: str) -> None:
        """Count a file, or a folder with all that lies in it."""
        self._counts[reason] += 1
        names = self._names.setdefault(reason, [])
        if len(names) < _MOST_NAMED:
            names.append(name)

    def merge(self, other: "LeftOut") -> None:
        """Count what another has counted."""
        for reason, count in other._counts.items():
            self._counts[reason] += count
            names = self._names.setdefault(reason, [])
            names += other._names[reason][: _MOST_NAMED - len(names)]

    def __str__(self) -> str:
        """All of it, for the log: "2 hidden (.a, .b), 7 excluded (c.png and 6 more)"."""
        told = []
        for reason, count in self.counts.items():
            names = self._names[Reason(reason)]
            more = f" and {count - len(names)} more" if count > len(names) else ""
            told.append(f"{count} {reason} ({', '.join(names)}{more})")
        return ", ".join(told)
