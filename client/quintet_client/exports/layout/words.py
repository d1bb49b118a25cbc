"""Lines cut into words, placed by the usual widths of their characters.

The service says where a line is, not where its words are. Character widths of a common sans serif put word borders
within a few per cent of the line's length.
"""

import unicodedata
from dataclasses import dataclass
from itertools import groupby

from quintet_client.api.results import Line, PointPx, QuadPx

# Helvetica's advance widths in em, rounded; what is not listed is taken as 0.56, capitals as 0.69.
_WIDTHS_EM = {
    character: width
    for characters, width in (
        ("ijl'|", 0.22),
        (" !,./:;I[]\\ft", 0.28),
        ('"()-`{}r*°·', 0.35),
        ("Jcksvxyz", 0.5),
        ("FTZL+<=>~", 0.6),
        ("GOQ", 0.77),
        ("mM", 0.83),
        ("wW%", 0.9),
        ("@—…", 1.0),
    )
    for character in characters
}
_RIGHT_TO_LEFT = frozenset({"R", "AL"})
_STRONG = _RIGHT_TO_LEFT | {"L"}


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a line."""

    text: str
    quad_px: QuadPx  # clockwise from the line's top-left
    leftward: bool = False  # runs against the line's first edge, as Hebrew and Arabic do


def advance_em(character: str) -> float:
    """Return the usual width of a character in em; combining marks have none."""
    if character in _WIDTHS_EM:
        return _WIDTHS_EM[character]
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0.0
    if unicodedata.east_asian_width(character) in {"W", "F"}:
        return 1.0
    return 0.69 if character.isupper() else 0.56


def words_of(line: Line) -> tuple[Word, ...]:
    """Cut a line into words, in logical order, whose boxes share the line's edges and leave the spaces free."""
    texts = line.text.split()
    directions = [_leftward(text) for text in texts]
    widths = [max(sum(map(advance_em, text)), 0.1) for text in texts]
    total = sum(widths) + advance_em(" ") * (len(texts) - 1)
    words: dict[int, Word] = {}
    start = 0.0
    for place in _left_to_right(directions):
        end = start + widths[place]
        words[place] = Word(texts[place], part_of(line.quad_px, start / total, end / total), directions[place])
        start = end + advance_em(" ")
    return tuple(words[place] for place in range(len(texts)))


def part_of(quad_px: QuadPx, start: float, end: float) -> QuadPx:
    """Return the part of a quad between two shares of its length, 0 at the text's start and 1 at its end."""
    top_left, top_right, bottom_right, bottom_left = quad_px
    return (
        _between(top_left, top_right, start),
        _between(top_left, top_right, end),
        _between(bottom_left, bottom_right, end),
        _between(bottom_left, bottom_right, start),
    )


def _between(first: PointPx, second: PointPx, share: float) -> PointPx:
    return (first[0] + (second[0] - first[0]) * share, first[1] + (second[1] - first[1]) * share)


def _leftward(text: str) -> bool:
    """Whether the first strongly directional character runs from right to left."""
    directions = map(unicodedata.bidirectional, text)
    return next((direction in _RIGHT_TO_LEFT for direction in directions if direction in _STRONG), False)


def _left_to_right(leftward: list[bool]) -> list[int]:
    """Order words as on paper: the Unicode bidirectional algorithm's reordering, a word as its unit."""
    runs = [list(run) for _direction, run in groupby(range(len(leftward)), key=leftward.__getitem__)]
    if leftward and leftward[0]:  # so does the whole line
        runs.reverse()
    return [place for run in runs for place in (run[::-1] if leftward[run[0]] else run)]
