"""The summary at the end of `make demo CHAIN=photos`: `python -m benchmarks.demo_photos TRUTH_JSON OUTPUT_FOLDER`.

Says how many photos were read and how fast, and how many of their faces and texts lie under what was found, so that the
export `redacted` hides them; ends with 1 if the run is below what the project promises.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.quad_match import Quad

# Of the area of a face or a text; the export adds a margin to what was found.
MOST = 0.8
MIN_HIDDEN = 0.95
EXPORT = Path("exports", "redacted")


class Hidden(NamedTuple):
    """Things of one kind on all photos, and how many of them lie under what was found."""

    things: str
    there: int
    hidden: int

    @property
    def share(self) -> float:
        """Of those that are there; 1 if there are none."""
        return self.hidden / self.there if self.there else 1.0


def count_hidden(truth: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Hidden]:
    """The faces and texts of all photos; of one that was not read none is hidden."""
    faces, texts = [], []
    for name, photo in truth.items():
        path = folder / "pages" / f"{name}.json"
        result = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"faces": [], "texts": []}
        size = photo["width_px"], photo["height_px"]
        found = _quads(face["box_px"] for face in result["faces"])
        faces += _are_hidden(_quads(photo["faces"]), found, size)
        texts += _are_hidden(photo["texts"], [text["quad_px"] for text in result["texts"]], size)
    return [Hidden("faces", len(faces), sum(faces)), Hidden("texts", len(texts), sum(texts))]


def _quads(boxes: Iterable[Sequence[float]]) -> list[Quad]:
    return [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for x0, y0, x1, y1 in boxes]


def _are_hidden(things: Sequence[Quad], found: Sequence[Quad], size: tuple[int, int]) -> list[bool]:
    """Whether most of each thing lies under what was found: a text may have been found word by word."""
    covered = _area(found, size)
    areas = [_area([thing], size) for thing in things]
    return [bool((area & covered).sum() >= MOST * area.sum()) for area in areas]


def _area(quads: Sequence[Quad], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels of quads, (H, W)."""
    mask = Image.new("1", size)
    for quad in quads:
        ImageDraw.Draw(mask).polygon([(x, y) for x, y in quad], fill=1)
    return np.asarray(mask)


def find_shortfalls(found: Sequence[Hidden], report: Mapping[str, Any], redacted: int) -> list[str]:
    """What of the promise was not kept, one sentence each; empty if all was."""
    lost = [f"{report['failed']} photo(s) failed"] if report["failed"] else []
    if redacted < report["inputs"]:
        lost.append(f"{redacted} of {report['inputs']} photos were redacted")
    few = (one for one in found if one.share < MIN_HIDDEN)
    return lost + [f"{one.share:.1%} of the {one.things} are hidden, below {MIN_HIDDEN:.0%}" for one in few]


def describe(found: Sequence[Hidden], report: Mapping[str, Any], folder: Path) -> str:
    """The table of figures."""
    rows = [
        ("photos", f"{report['inputs']} = {report['ok']} ok + {report['failed']} failed + {report['skipped']} skipped"),
        ("speed", f"{report['pages_per_s']:.2f} photos/s, {report['seconds']:.1f} s in all"),
        *((one.things, f"{one.hidden} of {one.there} hidden ({one.share:.1%})") for one in found),
        ("redacted", str(folder / EXPORT)),
        ("results", f"{folder / 'pages'} (one JSON a photo), {folder / 'report.json'}"),
    ]
    return "\n".join(f"  {name:<12} {value}" for name, value in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if the run is below what the project promises."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_photos", description=__doc__)
    parser.add_argument("truth", type=Path, help="truth.json beside the sample photos")
    parser.add_argument("output", type=Path, help="the folder that `quintet read` wrote")
    options = parser.parse_args(arguments)
    truth = json.loads(options.truth.read_text(encoding="utf-8"))
    report = json.loads((options.output / "report.json").read_text(encoding="utf-8"))
    found = count_hidden(truth, options.output)
    redacted = sum((options.output / EXPORT / name).is_file() for name in truth)
    shortfalls = find_shortfalls(found, report, redacted)
    verdict = "\n".join(f"  NOT GOOD ENOUGH: {text}" for text in shortfalls) or "  All as promised."
    sys.stdout.write(
        f"\nQuintet redacted the sample photos\n\n{describe(found, report, options.output)}\n\n{verdict}\n"
    )
    return 1 if shortfalls else 0


if __name__ == "__main__":
    sys.exit(main())
