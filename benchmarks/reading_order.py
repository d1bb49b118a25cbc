"""Order scores: `python -m benchmarks.reading_order [--pages 12]`, ours beside plain sorting and RapidOCR's order.

All three read the same drawn pages, which stand upright (RapidOCR knows no page orientation) but lie up to two degrees
askew. Two scores, means over pages, 1 is perfect: Kendall's tau of the lines that have a true line at IoU 0.5, and one
minus the normalised edit distance of the page's words, which also pays for what was misread.

Of forms it says too in what share of the fields the label's words stand right before the value's, in the order of the
lines and in Markdown; of kinds with a table what share of its cells is in their row and column of `tables`; of others
how many tables were found.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings
from quintet_client.exports.documents import Document, DocumentPage, clean_page
from quintet_client.exports.formats import markdown
from rapidocr import RapidOCR

from benchmarks.bench.readers.rapidocr_alone import peer_lines
from benchmarks.quad_match import match_quads
from benchmarks.sample_pages.documents import DOCUMENTS
from benchmarks.sample_pages.documents.form import FIELDS
from benchmarks.sample_pages.generate import write_pages
from benchmarks.sample_pages.plan import plan_pages

KINDS = ("article", "newspaper", "invoice", "timetable", "form", "receipt", "letter")
# The first cell of each kind's table, how many it has in a row, and the text behind it.
TABLES = {"timetable": ("Start", 4, None), "invoice": ("Item", 5, "Net"), "newspaper": ("Market prices", 3, None)}
Line = Mapping[str, Any]
Page = tuple[bytes, Sequence[Line]]  # its file and its true lines
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


def draw(kind: str, pages: int) -> list[Page]:
    """Dense upright pages of one kind."""
    plans = [
        replace(plan, damage=replace(plan.damage, turn_deg=0)) for plan in plan_pages(pages, 31, [kind], dense=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        truths = write_pages(plans, Path(folder), workers=1)
        bodies = [(Path(folder) / truth.file).read_bytes() for truth in truths]
    return [(body, truth.as_json()["lines"]) for body, truth in zip(bodies, truths, strict=True)]


def measure(pages: Sequence[Page], readers: Mapping[str, Reader]) -> dict[str, tuple[float, float]]:
    """Mean scores of each reader."""
    scores = {name: [score_order(true, read(body)) for body, true in pages] for name, read in readers.items()}
    return {name: (fmean(t for t, _ in pairs), fmean(w for _, w in pairs)) for name, pairs in scores.items()}


def structure(kind: str, pages: Sequence[Page], read: Callable[[bytes], Any]) -> dict[str, float]:
    """What else is said of a kind: shares of fields or of cells, or how many tables were found where there are none."""
    results = [(read(body), true) for body, true in pages]
    if kind == "form":
        found = {"fields together in lines": lambda page: page["text"], "in Markdown": _markdown}
        return {
            name: fmean(fields_together(true, text_of(page)) for page, true in results)
            for name, text_of in found.items()
        }
    if kind in TABLES:
        return {"cells right": fmean(cells_right(kind, true, page) for page, true in results)}
    return {"tables": sum(len(page["tables"]) for page, _ in results)}


def fields_together(true_lines: Sequence[Line], text: str) -> float:
    """The share of a form's fields whose label's words are followed by those of the value."""
    labels = {label for label, _entry in FIELDS}
    pairs = [f"{line['text']} {after['text']}" for line, after in pairwise(true_lines) if line["text"] in labels]
    said = _words(text)
    return fmean(_words(pair) in said for pair in pairs)


def cells_right(kind: str, true_lines: Sequence[Line], result: Mapping[str, Any]) -> float:
    """The share of the cells of a kind's table whose line is in its row and its column of a table, and alone there."""
    first, columns, behind = TABLES[kind]
    texts = [line["text"] for line in true_lines]
    start = texts.index(first)
    end = texts.index(behind) if behind else len(texts)
    pairs = match_quads([ln["quad"] for ln in true_lines[start:end]], [ln["quad_px"] for ln in result["lines"]], 0.1)
    places = {
        tuple(cell): (row, column)
        for table in result["tables"]
        for row, cells in enumerate(table["rows"])
        for column, cell in enumerate(cells)
    }
    return sum(places.get((line,)) == divmod(cell, columns) for cell, line, _iou in pairs) / (end - start)


def _words(text: str) -> str:
    return f" {' '.join(re.findall('[a-z0-9]+', text.lower()))} "


def _markdown(result: Mapping[str, Any]) -> str:
    page = clean_page({**result, "schema": PageChain.schema, "model": "", "request_id": ""})
    return markdown.render(Document("page", (DocumentPage("page", 1, "ok", page),), None, -1)).decode()


def make_readers(read: Callable[[bytes], Any]) -> dict[str, Reader]:
    """The three that are compared; `read` is the chain's."""
    rapidocr = RapidOCR(params={"Global.log_level": "critical"})

    def ours(body: bytes) -> list[Line]:
        lines: list[Line] = read(body)["lines"]
        return lines

    return {"ours": ours, "plain": lambda body: plain(ours(body)), "RapidOCR": lambda body: peer_lines(rapidocr(body))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and JSON where asked; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading_order", description=__doc__)
    parser.add_argument("--pages", type=int, default=12, help="of each kind (default: %(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=DOCUMENTS, default=KINDS)
    parser.add_argument("--model-store", type=Path, default=Path("model_store"))
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args(arguments)
    chain = PageChain(Settings(), options.model_store)
    read = cache(lambda body: chain([body])[0])
    readers = make_readers(read)
    sys.stdout.write(f"| pages | {' | '.join(f'{name}: tau, words' for name in readers)} |\n")
    sys.stdout.write(f"|---|{'---|' * len(readers)}\n")
    table, structures = {}, {}
    for kind in options.kinds:
        pages = draw(kind, options.pages)
        table[kind] = measure(pages, readers)
        cells = " | ".join(f"{tau:.3f}, {words:.3f}" for tau, words in table[kind].values())
        sys.stdout.write(f"| {kind} | {cells} |\n")
        sys.stdout.flush()
        structures[kind] = structure(kind, pages, read)
    for kind, found in structures.items():
        sys.stdout.write(f"{kind}: {', '.join(f'{name} {figure:.3f}' for name, figure in found.items())}\n")
    if options.json:
        options.json.write_text(json.dumps({"order": table, "structure": structures}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
