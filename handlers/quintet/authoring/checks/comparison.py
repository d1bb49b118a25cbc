"""Whether two outcomes are the same: floats to a tolerance, all else exactly."""

import math
from collections.abc import Iterator

from quintet.errors import Failure

# What other sizes of batches do to floats may reach; names that end in _px hold pixels.
TOLERANCE, TOLERANCE_PX = 0.01, 1.0


def difference(one: object, other: object, place: str = "outcome") -> str:
    """Where two outcomes differ first, in words; empty if they are the same."""
    if isinstance(one, Failure) and isinstance(other, Failure):
        return "" if one.code == other.code else f"{one.code} and {other.code}"
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        return _first(difference(one[key], other[key], f"{place}.{key}") for key in one)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return _first(difference(*pair, f"{place}[{n}]") for n, pair in enumerate(zip(one, other, strict=True)))
    if isinstance(one, float) and isinstance(other, float):
        close = math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE_PX if "_px" in place else TOLERANCE)
    else:
        close = type(one) is type(other) and one == other
    return "" if close else f"{place} is {_short(one)} and {_short(other)}"


def _first(differences: Iterator[str]) -> str:
    return next(filter(None, differences), "")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
