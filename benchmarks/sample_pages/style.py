"""How a document looks: typeface, inks and paper."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.sample_pages.fonts import Pen
from benchmarks.sample_pages.records import Colour

_INKS: tuple[Colour, ...] = ((15, 15, 15), (35, 35, 40), (20, 25, 70), (60, 45, 35))
# Dark enough for white text on them to survive JPEG quality 40.
_ACCENTS: tuple[Colour, ...] = ((150, 30, 40), (20, 80, 140), (20, 105, 70), (95, 45, 125), (60, 65, 75))
_PAPERS: tuple[Colour, ...] = ((255, 255, 255), (255, 255, 255), (252, 249, 240), (236, 236, 236), (238, 243, 250))
WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class Style:
    """Typeface and colours of one document; `body` is the size of running text in document units."""

    family: str
    body: float
    ink: Colour
    accent: Colour
    paper: Colour

    def pen(self, times: float = 1.0, style: str = "regular", colour: Colour | None = None) -> Pen:
        """The document's font at `times` the body size, in its ink unless another is named."""
        return Pen(self.family, round(self.body * times), style, colour or self.ink)

    @property
    def tint(self) -> Colour:
        """A shade a little darker than the paper, for table heads and boxes."""
        red, green, blue = self.paper
        return red - 24, green - 24, blue - 20


def choose_style(rng: random.Random, families: Sequence[str], smallest: int, largest: int) -> Style:
    """Pick a style whose running text is between `smallest` and `largest` units high."""
    return Style(
        family=rng.choice(families),
        body=rng.randint(smallest, largest),
        ink=rng.choice(_INKS),
        accent=rng.choice(_ACCENTS),
        paper=rng.choice(_PAPERS),
    )
