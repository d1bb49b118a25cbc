"""Score read pages against their truth: `python -m benchmarks.score TRUTH_JSON RESULTS_FOLDER`.

Words are scored as TurboOCR scores them: lower-case tokens `[a-z0-9]+`, multiset precision and recall for each image,
means over images. A page without a result counts as 0. Results are RESULTS_FOLDER/pages/<file>.json as the service
answers; the truth is what benchmarks.sample_pages writes, or file → list of {"quad", "text"}.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.quad_match import Quad, match_quads

QUAD_IOU = 0.5


@dataclass(frozen=True)
class PageLines:
    """What a page says, by its truth or by a reader.

    Attributes:
        texts: the lines' texts.
        quads: the lines' corners, in pixels of the image, one for each text.
        word_quads: corners of words, of all lines; empty if words are not said.
        orientation_deg: clockwise turn of the content, or None if not known.
    """

    texts: tuple[str, ...]
    quads: tuple[Quad, ...] = ()
    orientation_deg: int | None = None
    word_quads: tuple[Quad, ...] = ()


@dataclass(frozen=True)
class WordScore:
    """Word-bag figures of one page, each from 0 to 1."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class PageScore:
    """How well one page was read; `orientation_right` is None where the truth does not say.

    Attributes:
        word_ious: of each true word with the word that was read where it stands, whatever that says; 0 for none. Empty
            where the truth knows no boxes of words.
    """

    file: str
    words: WordScore
    quads_found: float
    orientation_right: bool | None
    missing: bool
    word_ious: tuple[float, ...] = ()


@dataclass(frozen=True)
class RunScore:
    """How well a set of pages was read."""

    pages: tuple[PageScore, ...]

    @property
    def f1(self) -> float:
        """Mean word-bag F1 over all pages, missing ones included."""
        return self._mean(lambda page: page.words.f1)

    @property
    def precision(self) -> float:
        """Mean word-bag precision."""
        return self._mean(lambda page: page.words.precision)

    @property
    def recall(self) -> float:
        """Mean word-bag recall."""
        return self._mean(lambda page: page.words.recall)

    @property
    def quads_found(self) -> float:
        """Mean share of true lines that have a quad of their own at IoU 0.5."""
        return self._mean(lambda page: page.quads_found)

    @property
    def word_ious(self) -> tuple[float, ...]:
        """Of each true word of all pages; empty where the truth knows no boxes of words."""
        return tuple(iou for page in self.pages for iou in page.word_ious)

    @property
    def missing(self) -> tuple[str, ...]:
        """Pages without a result."""
        return tuple(page.file for page in self.pages if page.missing)

    @property
    def orientations_right(self) -> tuple[int, int]:
        """How many orientations are right, of how many that the truth knows."""
        known = [page.orientation_right for page in self.pages if page.orientation_right is not None]
        return sum(known), len(known)

    @property
    def orientation_accuracy(self) -> float | None:
        """Share of orientations that are right, or None if the truth knows none."""
        right, known = self.orientations_right
        return right / known if known else None

    def worst(self, count: int) -> list[PageScore]:
        """The pages with the lowest F1, lowest first."""
        return sorted(self.pages, key=lambda page: (page.words.f1, page.file))[:count]

    def _mean(self, figure: Callable[[PageScore], float]) -> float:
        return sum(figure(page) for page in self.pages) / len(self.pages) if self.pages else 0.0


def count_words(texts: Iterable[str]) -> Counter[str]:
    """The bag of words of some lines."""
    return Counter(token for text in texts for token in re.findall(r"[a-z0-9]+", text.lower()))


def score_words(expected: Iterable[str], read: Iterable[str]) -> WordScore:
    """Compare the words of two sets of lines; their order, and how words are split into lines, does not matter.

    Where there are no words on either side the score is perfect; where only one side has any it is 0.
    """
    wanted, found = count_words(expected), count_words(read)
    if not wanted and not found:
        return WordScore(1.0, 1.0, 1.0)
    shared = (wanted & found).total()
    precision = shared / found.total() if found else 0.0
    recall = shared / wanted.total() if wanted else 0.0
    return WordScore(precision, recall, 2 * shared / (wanted.total() + found.total()))


def score_page(file: str, expected: PageLines, read: PageLines | None) -> PageScore:
    """Score one page; `read` is None if there is no result."""
    got = read or PageLines(())
    # A page without words that nobody read is still not read.
    words = score_words(expected.texts, got.texts) if read else WordScore(0.0, 0.0, 0.0)
    pairs = match_quads(expected.quads, got.quads, QUAD_IOU)
    quads_found = len(pairs) / len(expected.quads) if expected.quads else float(read is not None)
    turn = expected.orientation_deg
    orientation_right = None if turn is None else got.orientation_deg == turn
    ious = _best_ious(expected.word_quads, got.word_quads)
    return PageScore(file, words, quads_found, orientation_right, read is None, ious)


def _best_ious(expected: Sequence[Quad], found: Sequence[Quad]) -> tuple[float, ...]:
    """The IoU of each expected quad with the found one it is paired with; 0 for none."""
    paired = {i: iou for i, _, iou in match_quads(expected, found, sys.float_info.min)}
    return tuple(paired.get(i, 0.0) for i in range(len(expected)))


def score_run(expected: Mapping[str, PageLines], read: Mapping[str, PageLines]) -> RunScore:
    """Score all pages the truth names; results for other pages are left out."""
    return RunScore(tuple(score_page(file, page, read.get(file)) for file, page in sorted(expected.items())))


def load_truth(path: Path) -> dict[str, PageLines]:
    """Read a truth file of either form.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not JSON.
        KeyError: if a line lacks its text or quad.
    """
    pages: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {file: _truth_lines(page) for file, page in pages.items()}


def load_results(folder: Path, files: Iterable[str]) -> dict[str, PageLines]:
    """Read the results of the named pages; those without a result, or with an error for one, are absent.

    Raises:
        ValueError: if a result is not JSON.
    """
    found = ((file, folder / "pages" / f"{file}.json") for file in files)
    answers = {file: json.loads(path.read_text(encoding="utf-8")) for file, path in found if path.is_file()}
    return {file: read_answer(answer) for file, answer in answers.items() if "lines" in answer}


def read_answer(answer: Mapping[str, Any]) -> PageLines:
    """A page's answer as the service gives it (schema quintet.page/1)."""
    lines = answer["lines"]
    turn = answer.get("orientation", {}).get("angle_deg")
    words = tuple(word["quad_px"] for ln in lines for word in ln.get("words", ()))
    quads = tuple(ln["quad_px"] for ln in lines if "quad_px" in ln)
    return PageLines(tuple(ln["text"] for ln in lines), quads, turn, words)


def describe_boxes(word_ious: Sequence[float]) -> str:
    """How well words were found where they are."""
    if not word_ious:
        return "not in the truth"
    found = sum(iou >= QUAD_IOU for iou in word_ious) / len(word_ious)
    return f"{found:.1%} found at IoU {QUAD_IOU}, mean IoU {fmean(word_ious):.4f}"


def describe(score: RunScore) -> str:
    """The figures as lines of plain text."""
    right, known = score.orientations_right
    rows = [
        f"pages scored   {len(score.pages)} ({len(score.missing)} missing, counted as 0)",
        f"word F1        {score.f1:.4f} (precision {score.precision:.4f}, recall {score.recall:.4f})",
        f"orientation    {f'{right} of {known} right' if known else 'not in the truth'}",
        f"line quads     {score.quads_found:.1%} found at IoU {QUAD_IOU}",
        f"word boxes     {describe_boxes(score.word_ious)}",
        "worst pages",
    ]
    rows += [f"  {page.words.f1:.4f}  {page.file}{' (missing)' * page.missing}" for page in score.worst(5)]
    return "\n".join(rows) + "\n"


def _truth_lines(page: list[Any] | dict[str, Any]) -> PageLines:
    """One page of a truth file: a list of lines, or a record that holds one."""
    lines, turn = (page, None) if isinstance(page, list) else (page["lines"], page["orientation_deg"])
    words = tuple(word["quad"] for ln in lines for word in ln.get("words", ()))
    return PageLines(tuple(ln["text"] for ln in lines), tuple(ln["quad"] for ln in lines), turn, words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if a figure is below what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.score", description=__doc__)
    parser.add_argument("truth", type=Path, help="the truth file")
    parser.add_argument("results", type=Path, help="the folder that `quintet read` wrote")
    parser.add_argument("--min-f1", type=float, default=0.0, help="exit with 1 below this word F1")
    parser.add_argument(
        "--min-orientation", type=float, default=0.0, help="exit with 1 below this share of orientations"
    )
    options = parser.parse_args(arguments)
    truth = load_truth(options.truth)
    score = score_run(truth, load_results(options.results, truth))
    sys.stdout.write(describe(score))
    accuracy = score.orientation_accuracy
    turned_wrong = accuracy is not None and accuracy < options.min_orientation
    return int(score.f1 < options.min_f1 or turned_wrong)


if __name__ == "__main__":
    sys.exit(main())
