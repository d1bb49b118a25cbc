"""The summary at the end of `make demo`: `python -m benchmarks.demo TRUTH_JSON OUTPUT_FOLDER`.

Says how many pages were read, how fast and how well, shows a few lines of one, and ends with 1 if the run is below
what the project promises.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.score import PageLines, RunScore, describe_boxes, load_results, load_truth, score_run

MIN_F1 = 0.97
MIN_ORIENTATION = 0.98
_SHOWN_LINES = 6


def find_shortfalls(score: RunScore, report: Mapping[str, Any]) -> list[str]:
    """What of the promise was not kept, one sentence each; empty if all was."""
    accuracy = score.orientation_accuracy
    found = []
    if report["failed"]:
        found.append(f"{report['failed']} page(s) failed")
    if score.missing:
        found.append(f"{len(score.missing)} page(s) have no result, {score.missing[0]} among them")
    if score.f1 < MIN_F1:
        found.append(f"word F1 {score.f1:.4f} is below {MIN_F1}")
    if accuracy is not None and accuracy < MIN_ORIENTATION:
        found.append(f"{accuracy:.1%} of orientations right is below {MIN_ORIENTATION:.0%}")
    return found


def describe_run(score: RunScore, report: Mapping[str, Any], folder: Path) -> str:
    """The table of figures."""
    right, known = score.orientations_right
    turned = f"{right} of {known} right ({score.orientation_accuracy:.1%})" if known else "not in the truth"
    rows = (
        ("pages", f"{report['inputs']} = {report['ok']} ok + {report['failed']} failed + {report['skipped']} skipped"),
        ("speed", f"{report['pages_per_s']:.2f} pages/s, {report['seconds']:.1f} s in all"),
        ("word F1", f"{score.f1:.4f} (precision {score.precision:.4f}, recall {score.recall:.4f})"),
        ("orientation", turned),
        ("word boxes", describe_boxes(score.word_ious)),
        ("results", f"{folder / 'pages'} (one JSON a page), {folder / 'report.json'}"),
    )
    return "\n".join(f"  {name:<12} {value}" for name, value in rows)


def describe_page(file: str, page: PageLines) -> str:
    """The first lines of a page as they were read."""
    turned = f", turned by {page.orientation_deg}°" if page.orientation_deg else ""
    head = f"  {file}{turned}, its first lines as read:"
    return "\n".join([head, *(f"    | {text}" for text in page.texts[:_SHOWN_LINES])])


def choose_page(results: Mapping[str, PageLines]) -> str | None:
    """The page to show: the first turned one, since that shows most; else the first; None if there is none."""
    turned = (file for file in sorted(results) if results[file].orientation_deg)
    return next(turned, min(results, default=None))


def summarise(truth: Path, folder: Path) -> tuple[str, bool]:
    """The summary's text, and whether the run kept its promise.

    Raises:
        OSError: if the truth or the report cannot be read.
        ValueError: if one of them, or a result, is not JSON.
        KeyError: if the report lacks a figure.
    """
    expected = load_truth(truth)
    results = load_results(folder, expected)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    score = score_run(expected, results)
    shortfalls = find_shortfalls(score, report)
    parts = ["Quintet read the sample pages", describe_run(score, report, folder)]
    if (shown := choose_page(results)) is not None:
        parts.append(describe_page(shown, results[shown]))
    parts.append("\n".join(f"  NOT GOOD ENOUGH: {text}" for text in shortfalls) or "  All as promised.")
    return "\n\n".join(parts) + "\n", not shortfalls


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if the run is below what the project promises."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("truth", type=Path, help="truth.json beside the sample pages")
    parser.add_argument("output", type=Path, help="the folder that `quintet read` wrote")
    options = parser.parse_args(arguments)
    text, good = summarise(options.truth, options.output)
    sys.stdout.write(f"\n{text}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
