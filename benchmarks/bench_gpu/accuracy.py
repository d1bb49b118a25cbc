"""The accuracy gate: what a number format, or anything else that computes a page another way, may cost in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.score import load_truth, read_answer, score_run

# One word in five hundred. Differences under 0.005 were noise on 30 real receipts.
MOST_F1_LOST = 0.002

Results = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Agreement:
    """Two readings of the same pages.

    Attributes:
        f1: word F1 of the one that is judged.
        reference_f1: of the one in single precision.
        lines: of the reference.
        identical: how many of these the other has letter by letter, page by page.
    """

    f1: float
    reference_f1: float
    lines: int
    identical: int

    @property
    def identical_share(self) -> float:
        """From 0 to 1; 1 where there is no line."""
        return self.identical / self.lines if self.lines else 1.0

    @property
    def passes(self) -> bool:
        """Whether no more words are lost than is allowed."""
        return self.reference_f1 - self.f1 <= MOST_F1_LOST


def compare(reference: Results, read: Results, truth: Path) -> Agreement:
    """Hold a reading against the one in single precision.

    Args:
        reference: a result a page, by file name.
        read: the same pages; one that is missing counts as read without a word.
        truth: truth.json of at least these pages.
    """
    shared = [_shared_lines(result, read.get(name, {"lines": ()})) for name, result in reference.items()]
    lines = sum(len(result["lines"]) for result in reference.values())
    return Agreement(word_f1(read, truth, tuple(reference)), word_f1(reference, truth), lines, sum(shared))


def word_f1(results: Results, truth: Path, names: Sequence[str] | None = None) -> float:
    """Word F1 over the named pages; over those that have a result, if none are named."""
    expected = load_truth(truth)
    answers = {name: read_answer(result) for name, result in results.items()}
    return score_run({name: expected[name] for name in names or results}, answers).f1


def _shared_lines(reference: Mapping[str, Any], read: Mapping[str, Any]) -> int:
    """How many lines of a page are the same in both, wherever they stand."""
    return (_texts(reference) & _texts(read)).total()


def _texts(result: Mapping[str, Any]) -> Counter[str]:
    return Counter(line["text"] for line in result["lines"])
