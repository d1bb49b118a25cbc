"""How long the stages of a chain took for the pages of one request, as a header of its response. Knows no server."""

import math
from collections.abc import Mapping

HEADER = "X-Quintet-Stage-Seconds"
_MOST_STAGES = 64


def to_header(seconds: Mapping[str, float], share: float) -> dict[str, str]:
    """The header that tells a request its share of a batch's time; none where the chain does not time itself."""
    told = [f"{stage}={took * share:.6f}" for stage, took in seconds.items() if share > 0]
    return {HEADER: ", ".join(told)} if told else {}


def from_header(header: str) -> dict[str, float]:
    """Seconds by stage, in the order they are told; what is no number of seconds is left out."""
    seconds = {}
    for told in header.split(",", _MOST_STAGES)[:_MOST_STAGES]:
        stage, _, number = told.strip().rpartition("=")
        try:
            took = float(number)
        except ValueError:
            continue
        if stage and math.isfinite(took) and took >= 0:
            seconds[stage] = took
    return seconds
