"""Order scores: `python -m benchmarks.reading_order [--pages 12]`, ours beside plain sorting and RapidOCR's order.

All three read the same drawn pages, which stand upright (RapidOCR knows no page orientation) but lie up to two degrees
askew. Two scores, means over pages, 1 is perfect: Kendall's tau of the lines that have a true line at IoU 0.5, and one
minus the normalised edit distance of the page's words, which also pays for what was misread.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings
from rapidocr import RapidOCR

from benchmarks.bench.readers.rapidocr_alone import peer_lines
from benchmarks.quad_match import match_quads
from benchmarks.sample_pages.documents import DOCUMENTS
from benchmarks.sample_pages.generate import write_pages
from benchmarks.sample_pages.plan import plan_pages

KINDS = ("article", "newspaper", "invoice", "timetable", "form", "receipt", "letter")
Line = Mapping[str, Any]
Reader = Callable[[bytes], Sequence[Line]]


def kendall_tau(ranks: Sequence[int]) -> float:
    """Kendall's tau of a permutation with the identity: 1 in order, -1 reversed; 1 for fewer than two."""
    pairs = [1 if earlier < later else -1 for earlier, later in combinations(ranks, 2)]
    return fmean(pairs) if pairs else 1.0


def word_similarity(expected: Sequence[str], found: Sequence[str]) -> float:
    """One minus the Levenshtein distance of two lists of words, divided by the longer one's length."""
    row = list(range(len(found) + 1))
    for at, wanted in enumerate(expected, start=1):
        previous, row = row, [at]
        for column, word in enumerate(found, start=1):
            substituted = previous[column - 1] + (word != wanted)
            row.append(min(substituted, previous[column] + 1, row[column - 1] + 1))
    return 1 - row[-1] / max(len(expected), len(found), 1)


def score_order(true_lines: Sequence[Line], read: Sequence[Line]) -> tuple[float, float]:
    """Tau and word similarity of one page, its lines in the order in which they were read."""
    pairs = match_quads([line["quad"] for line in true_lines], [line["quad_px"] for line in read])
    ranks = [rank for rank, _number, _iou in sorted(pairs, key=lambda pair: pair[1])]
    words = [[word for line in lines for word in line["text"].split()] for lines in (true_lines, read)]
    return kendall_tau(ranks), word_similarity(*words)


def plain(lines: Sequence[Line]) -> list[Line]:
    """Lines sorted by their tops, then by their left ends: what a reader without any rule does."""
    return sorted(lines, key=lambda line: (min(y for _x, y in line["quad_px"]), min(x for x, _y in line["quad_px"])))


def measure(kind: str, pages: int, readers: Mapping[str, Reader]) -> dict[str, tuple[float, float]]:
    """Mean scores of each reader on drawn pages of one kind."""
    plans = [
        replace(plan, damage=replace(plan.damage, turn_deg=0)) for plan in plan_pages(pages, 31, [kind], dense=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        truths = write_pages(plans, Path(folder), workers=1)
        bodies = [(Path(folder) / truth.file).read_bytes() for truth in truths]
    entries = [truth.as_json()["lines"] for truth in truths]
    scores = {
        name: [score_order(true, read(body)) for true, body in zip(entries, bodies, strict=True)]
        for name, read in readers.items()
    }
    return {name: (fmean(t for t, _ in pairs), fmean(w for _, w in pairs)) for name, pairs in scores.items()}


def make_readers(model_store: Path) -> dict[str, Reader]:
    """The three that are compared."""
    chain = PageChain(Settings(), model_store)
    rapidocr = RapidOCR(params={"Global.log_level": "critical"})

    def ours(body: bytes) -> list[Line]:
        result = chain([body])[0]
        return result["lines"] if isinstance(result, dict) else []

    return {"ours": ours, "plain": lambda body: plain(ours(body)), "RapidOCR": lambda body: peer_lines(rapidocr(body))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and JSON where asked; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading_order", description=__doc__)
    parser.add_argument("--pages", type=int, default=12, help="of each kind (default: %(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=DOCUMENTS, default=KINDS)
    parser.add_argument("--model-store", type=Path, default=Path("model_store"))
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args(arguments)
    readers = make_readers(options.model_store)
    sys.stdout.write(f"| pages | {' | '.join(f'{name}: tau, words' for name in readers)} |\n")
    sys.stdout.write(f"|---|{'---|' * len(readers)}\n")
    table = {}
    for kind in options.kinds:
        table[kind] = measure(kind, options.pages, readers)
        cells = " | ".join(f"{tau:.3f}, {words:.3f}" for tau, words in table[kind].values())
        sys.stdout.write(f"| {kind} | {cells} |\n")
        sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
