"""Words of lines where the recogniser saw their characters: plain NumPy over all lines of a batch, on the host.

A CTC network says a character at one time step, near the character's middle. A word's ends follow from its first and
its last step; its upper and lower edge are the line's.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quintet.pages.records import STEP_PX

Word = dict[str, Any]

# In time steps, of which a Latin character takes 2.6 in the mean; fitted to 2,500 words of generated pages. Characters
# are said after their middle. Around ink stays the margin that people leave who mark words, a ninth of a line's height.
_LATE = 0.31
_MARGIN = 0.66


@dataclass(frozen=True)
class Characters:
    """Characters of all lines of a batch, C in all, end to end."""

    texts: NDArray[np.object_]  # (C,) str
    probabilities: NDArray[np.float64]  # (C,)
    steps: NDArray[np.int64]  # (C,), the time step at which each is said, counted from its line's first
    line: NDArray[np.int64]  # (C,), ascending

    def of_lines(self, count: int) -> list[str]:
        """What each of so many lines says, outer white space off."""
        texts = self.texts.tolist()
        return ["".join(texts[own]).strip() for own in _slices(self.line, count)]


def words_of(characters: Characters, quads_px: NDArray[np.float32], widths_px: NDArray[np.int64]) -> list[list[Word]]:
    """The words of each of L lines from their start to their end, as white space cuts its text.

    Args:
        characters: of the lines.
        quads_px: (L, 4, 2), corners of the lines from the text's own top left; of any frame, which the words share.
        widths_px: (L,), how much of the recogniser's crop each line fills.
    """
    shown = np.array([not text.isspace() for text in characters.texts], dtype=bool)
    continued = np.zeros_like(shown)
    continued[1:] = shown[:-1] & (characters.line[1:] == characters.line[:-1])
    first = np.flatnonzero(~continued[shown])
    bounds = np.append(first, shown.sum())
    texts, line, steps = characters.texts[shown].tolist(), characters.line[shown], characters.steps[shown]
    totals = np.add.accumulate(np.append(0.0, characters.probabilities[shown]))[bounds]
    scores = np.round(np.diff(totals) / np.diff(bounds), 4).tolist()
    starts, ends = _extents(steps, line, bounds, widths_px)
    quads = np.round(_parts(quads_px[line[first]].astype(float), starts, ends), 1).tolist()
    words = [
        {"text": "".join(texts[begin:end]), "score": score, "quad_px": quad}
        for (begin, end), score, quad in zip(pairwise(bounds.tolist()), scores, quads, strict=True)
    ]
    return [words[own] for own in _slices(line[first], len(quads_px))]


def _extents(
    steps: NDArray[np.int64], line: NDArray[np.int64], bounds: NDArray[np.int64], widths_px: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where words begin and end, as shares of their lines: (K,) twice, no two of a line overlapping.

    Args:
        steps: (C,), of all characters but spaces.
        line: (C,), ascending.
        bounds: (K + 1,), where each of K words begins among them, and C.
        widths_px: (L,), as of `words_of`.
    """
    middles = steps + 0.5 - _LATE
    first, last = middles[bounds[:-1]], middles[bounds[1:] - 1]
    of_line = line[bounds[:-1]]
    lengths = widths_px / STEP_PX
    np.maximum.at(lengths, line, middles + 0.5)  # what is said in the padding
    # From a character to the next one within words; of a line of single characters, by what it fills.
    runs, steps_on = (np.bincount(of_line, by, len(lengths)) for by in (last - first, np.diff(bounds) - 1))
    filled = (lengths - 2 * _MARGIN) / np.bincount(line, minlength=len(lengths)).clip(1)
    advances = np.where(steps_on > 0, runs / steps_on.clip(1), filled).clip(0)
    beyond = (advances / 2 + _MARGIN)[of_line]
    starts, ends = first - beyond, last + beyond
    beside = of_line[1:] == of_line[:-1]
    between = (last[:-1] + first[1:]) / 2
    starts[1:] = np.where(beside, np.maximum(starts[1:], between), starts[1:])
    ends[:-1] = np.where(beside, np.minimum(ends[:-1], between), ends[:-1])
    return (starts / lengths[of_line]).clip(0, 1), (ends / lengths[of_line]).clip(0, 1)


def _parts(quads: NDArray[np.float64], starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """The parts of (K, 4, 2) quads between two shares of their lengths, 0 at the text's start: (K, 4, 2)."""
    shares = np.stack([starts, ends, ends, starts], axis=1)[..., None]
    left, right = quads[:, (0, 0, 3, 3)], quads[:, (1, 1, 2, 2)]
    return left + (right - left) * shares


def _slices(line: NDArray[np.int64], count: int) -> list[slice]:
    """Where each of so many lines lies among items that ascend by line."""
    bounds = np.searchsorted(line, np.arange(count + 1)).tolist()
    return [slice(*ends) for ends in pairwise(bounds)]
