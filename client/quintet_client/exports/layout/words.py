"""The words of a line: those that the service saw; of a result without words, an estimate."""

import unicodedata
from itertools import groupby

from quintet_client.api.results import Line, PointPx, QuadPx, Word

_RIGHT_TO_LEFT = frozenset({"R", "AL"})
_STRONG = _RIGHT_TO_LEFT | {"L"}


def words_of(line: Line) -> tuple[Word, ...]:
    """Return a line's words, or else cut it by its number of characters, whose words have the line's score."""
    return line.words or _estimated(line)


def width_em(character: str) -> float:
    """Return how wide a character is, where all are alike: half an em, one if it is wide; combining marks have none."""
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0.0
    return 1.0 if unicodedata.east_asian_width(character) in {"W", "F"} else 0.5


def runs_leftward(text: str) -> bool:
    """Whether a word runs against its line's first edge, as Hebrew and Arabic do: by its first such or other letter."""
    directions = map(unicodedata.bidirectional, text)
    return next((direction in _RIGHT_TO_LEFT for direction in directions if direction in _STRONG), False)


def part_of(quad_px: QuadPx, start: float, end: float) -> QuadPx:
    """Return the part of a quad between two shares of its length, 0 at the text's start and 1 at its end."""
    top_left, top_right, bottom_right, bottom_left = quad_px
    return (
        _between(top_left, top_right, start),
        _between(top_left, top_right, end),
        _between(bottom_left, bottom_right, end),
        _between(bottom_left, bottom_right, start),
    )


def _estimated(line: Line) -> tuple[Word, ...]:
    """Cut a line into words, in logical order, whose boxes share the line's edges and leave the spaces free."""
    texts = line.text.split()
    widths = [max(sum(map(width_em, text)), 0.1) for text in texts]
    total = sum(widths) + width_em(" ") * (len(texts) - 1)
    words: dict[int, Word] = {}
    start = 0.0
    for place in _left_to_right([runs_leftward(text) for text in texts]):
        end = start + widths[place]
        words[place] = Word(texts[place], line.score, part_of(line.quad_px, start / total, end / total))
        start = end + width_em(" ")
    return tuple(words[place] for place in range(len(texts)))


def _between(first: PointPx, second: PointPx, share: float) -> PointPx:
    return (first[0] + (second[0] - first[0]) * share, first[1] + (second[1] - first[1]) * share)


def _left_to_right(leftward: list[bool]) -> list[int]:
    """Order words as on paper: the Unicode bidirectional algorithm's reordering, a word as its unit."""
    runs = [list(run) for _direction, run in groupby(range(len(leftward)), key=leftward.__getitem__)]
    if leftward and leftward[0]:  # so does the whole line
        runs.reverse()
    return [place for run in runs for place in (run[::-1] if leftward[run[0]] else run)]
