"""A second witness of how a page is turned: the lines, each of which was read the way in which it makes sense.

Page orientation was trained on scans; some photos and sparse pages it turns upside down. Their lines are found and read
all the same, since each is laid down, and read both ways where in doubt; so the way in which they run tells.
"""

import math
from collections.abc import Sequence
from typing import Any

Result = dict[str, Any]


def other_turn(result: Result) -> int | None:
    """The clockwise quarter turn by which most of a page's text runs, if its orientation says another one."""
    orientation = result["orientation"]
    if orientation["text_score"] is None or orientation["text_score"] > 0.5:
        return None  # of most pages: the share is known
    weights = _weights(result["lines"])
    turn = max(range(4), key=weights.__getitem__)
    said = orientation["angle_deg"] // 90
    return turn if turn != said and weights[turn] > sum(weights) / 2 else None


def agreement(result: Result) -> float:
    """How much text of a page, in characters by their scores, runs as its orientation says."""
    turn: int = result["orientation"]["angle_deg"] // 90
    return _weights(result["lines"])[turn]


def text_score(lines: Sequence[Result], turn: int) -> float | None:
    """The share of the text that runs by a clockwise quarter turn, characters by their scores; None without text."""
    weights = _weights(lines)
    return round(weights[turn] / sum(weights), 4) if lines else None


def _weights(lines: Sequence[Result]) -> list[float]:
    """Characters by their scores, of the lines that run to the right, down, to the left and up in the image."""
    weights = [0.0] * 4
    for line in lines:
        (x0, y0), (x1, y1) = line["quad_px"][:2]
        turn = round(math.atan2(y1 - y0, x1 - x0) / (math.pi / 2)) % 4
        weights[turn] += len(line["text"]) * line["score"]
    return weights
