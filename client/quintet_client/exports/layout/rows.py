"""Lines in rows, and whether they are running text: from their positions."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median_high
from typing import cast

from quintet_client.api.results import Line, QuadPx
from quintet_client.exports.layout.blocks import box_around

# Ends of lines are found to a third of their height.
_LOOSE = 1 / 3


def straightened(lines: Sequence[Line]) -> list[Line]:
    """Turn lines so that the middle one of their angles becomes level: on a skewed page rows run into each other."""
    edges = [line.quad_px[:2] for line in lines]
    turn = -median_high([math.atan2(y1 - y0, x1 - x0) for (x0, y0), (x1, y1) in edges]) if edges else 0.0
    cos, sin = math.cos(turn), math.sin(turn)
    return [
        replace(line, quad_px=cast("QuadPx", tuple((cos * x - sin * y, sin * x + cos * y) for x, y in line.quad_px)))
        for line in lines
    ]


def in_rows(lines: Sequence[Line]) -> list[list[Line]]:
    """Group lines of an upright page, in their order: one that is beside the line before it continues its row.

    Beside it is what has its centre at most half the smaller height away: the rule by which the service orders lines.
    """
    rows: list[list[Line]] = []
    for line in lines:
        before = rows[-1][-1] if rows else None
        if before and abs(_centre_y(before) - _centre_y(line)) <= min(_height(before), _height(line)) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return rows


def is_running_text(lines: Sequence[Line]) -> bool:
    """Whether lines of an upright page read on.

    At half of their breaks at least, the next word had no room before it; and of several lines one begins amidst a
    sentence, in scripts with capitals with a small letter.
    """
    rows = in_rows(straightened(lines))
    right = max((box_around(line.quad_px)[2] for line in lines), default=0.0)
    breaks = [len(row) == len(below) == 1 and _is_full(row[0], below[0], right) for row, below in pairwise(rows)]
    reads_on = len(breaks) < 2 or any(line.text[:1].isalpha() and not line.text[:1].isupper() for line in lines[1:])
    return reads_on and 2 * sum(breaks) >= len(breaks)


def is_ideographic(character: str) -> bool:
    """Whether a character is of a script without spaces; Hangul is as wide, but written with them."""
    return unicodedata.east_asian_width(character) in {"W", "F"} and not "\uac00" <= character <= "\ud7af"


def _is_full(line: Line, below: Line, right: float) -> bool:
    word = "".join(below.text.split()[:1])
    word = word[:1] if is_ideographic(word[:1] or " ") else word
    x0, _y0, x1, _y1 = box_around(below.quad_px)
    needed = (x1 - x0) * len(word) / max(len(below.text), 1)
    return box_around(line.quad_px)[2] + needed + _LOOSE * _height(line) >= right


def _height(line: Line) -> float:
    _x0, y0, _x1, y1 = box_around(line.quad_px)
    return y1 - y0


def _centre_y(line: Line) -> float:
    _x0, y0, _x1, y1 = box_around(line.quad_px)
    return (y0 + y1) / 2
