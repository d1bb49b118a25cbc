"""What a sample page is: the plan it is drawn from and the truth that stands beside it.

All coordinates are pixels, x to the right and y down, with (0, 0) at the image's outer top-left corner: a pixel's
centre lies at (column + 0.5, row + 0.5). Angles are degrees clockwise as the viewer sees them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]  # clockwise from the text's own top-left
Colour = tuple[int, int, int]  # red, green, blue


@dataclass(frozen=True)
class TruthWord:
    """A word of a line, as white space cuts it: as high as its line, as wide as its ink with the same margin."""

    text: str
    quad: Quad


@dataclass(frozen=True)
class TruthLine:
    """One run of text on a page; a table's cells are lines of their own."""

    text: str
    quad: Quad
    words: tuple[TruthWord, ...]

    def moved(self, move: Callable[[Quad], Quad]) -> Self:
        """The same text, its quad and those of its words elsewhere."""
        words = tuple(TruthWord(word.text, move(word.quad)) for word in self.words)
        return replace(self, quad=move(self.quad), words=words)


@dataclass(frozen=True)
class Brief:
    """What a document should hold, before anyone draws it.

    Attributes:
        words: about how many words the page should carry.
        scale: every length of the document is multiplied by it; 1 is A4 at 150 dpi.
    """

    words: int
    scale: float = 1.0


@dataclass(frozen=True)
class Damage:
    """What lies between the drawn document and the file.

    Attributes:
        turn_deg: clockwise turn of the content in the file: 0, 90, 180 or 270.
        skew_deg: small clockwise rotation applied before the turn.
        blur_px: standard deviation of a Gaussian blur; 0 for none.
        noise_std: standard deviation of the grain, in grey levels of 255.
        shade: how much darker the darkest corner is, as a share of the light; 0 for none.
        grey: whether the file has one channel.
        jpeg_quality: 1 to 95, or None for PNG.
    """

    turn_deg: int = 0
    skew_deg: float = 0.0
    blur_px: float = 0.0
    noise_std: float = 0.0
    shade: float = 0.0
    grey: bool = False
    jpeg_quality: int | None = 90


@dataclass(frozen=True)
class PagePlan:
    """All that decides one page's bytes; pages depend on nothing else, so any worker may draw any page."""

    index: int
    seed: int
    kind: str
    brief: Brief
    damage: Damage

    @property
    def file(self) -> str:
        """Name of the page's file, for instance `page-00007.jpg`."""
        return f"page-{self.index:05d}.{'png' if self.damage.jpeg_quality is None else 'jpg'}"


@dataclass(frozen=True)
class PageTruth:
    """What a perfect reader would say about one file; lines stand in reading order, quads in the file's pixels."""

    file: str
    kind: str
    width_px: int
    height_px: int
    orientation_deg: int
    lines: tuple[TruthLine, ...]

    def as_json(self) -> dict[str, Any]:
        """The page's entry in truth.json, coordinates rounded to a hundredth of a pixel."""
        lines = [{**_as_json(line), "words": [_as_json(word) for word in line.words]} for line in self.lines]
        return {
            "kind": self.kind,
            "width_px": self.width_px,
            "height_px": self.height_px,
            "orientation_deg": self.orientation_deg,
            "lines": lines,
        }


def _as_json(text: TruthLine | TruthWord) -> dict[str, Any]:
    return {"text": text.text, "quad": [[round(x, 2), round(y, 2)] for x, y in text.quad]}
