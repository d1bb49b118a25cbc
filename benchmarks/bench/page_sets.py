"""The pages that all rows read: copied or drawn into a folder of their own, with their truth."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sample_pages.generate import main as generate
from benchmarks.score import count_words, load_truth

SEED = 7


@dataclass(frozen=True)
class PageSet:
    """A folder of pages with truth.json.

    Attributes:
        name: `receipts` or `generated`.
        folder: holds nothing but these pages and their truth.
        pages: in the order of their names.
    """

    name: str
    folder: Path
    pages: tuple[Path, ...]

    @property
    def truth(self) -> Path:
        """What a perfect reader would say."""
        return self.folder / "truth.json"

    def words_per_page(self) -> float:
        """Mean number of words, since pages of different density cannot be compared."""
        truth = load_truth(self.truth)
        return sum(count_words(page.texts).total() for page in truth.values()) / len(truth)


def copy_receipts(source: Path, count: int, folder: Path) -> PageSet:
    """The first `count` pages of a folder that has a truth.json.

    Raises:
        FileNotFoundError: there is no truth.
    """
    truth = json.loads((source / "truth.json").read_text(encoding="utf-8"))
    names = sorted(name for name in truth if (source / name).is_file())[:count]
    _empty(folder)
    for name in names:
        shutil.copyfile(source / name, folder / name)
    (folder / "truth.json").write_text(json.dumps({name: truth[name] for name in names}), encoding="utf-8")
    return PageSet("receipts", folder, tuple(folder / name for name in names))


def draw_pages(count: int, folder: Path, *options: str) -> PageSet:
    """`count` generated pages; a quarter of them is turned."""
    _empty(folder)
    generate([str(folder), "--pages", str(count), "--seed", str(SEED), *options])
    return PageSet("generated", folder, tuple(sorted(folder.glob("page-*"))))


def items_of(folder: Path) -> PageSet:
    """The files of a folder without its truth.json: what any chain reads."""
    return PageSet(folder.name, folder, tuple(sorted(file for file in folder.iterdir() if file.suffix != ".json")))


def repeat_pages(pages: PageSet, count: int, folder: Path) -> PageSet:
    """`count` files out of fewer, under names of their own; they share what is on the disk where that is possible."""
    _empty(folder)
    copies = []
    for number in range(count):
        source = pages.pages[number % len(pages.pages)]
        copies.append(folder / f"{number:06d}-{source.name}")
        try:
            copies[-1].hardlink_to(source)
        except OSError:  # another file system
            shutil.copyfile(source, copies[-1])
    return PageSet(pages.name, folder, tuple(copies))


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
