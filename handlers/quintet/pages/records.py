"""The records that pass between the stages of pages; the legend of `quintet.tensors.records` holds here too.

Legend
    P  pages in a batch          R  layout regions of all pages
    L  lines of all pages        N  items of any kind (pages, lines)
    T  time steps of the recogniser
"""

from dataclasses import dataclass

from torch import Tensor

from quintet.tensors.records import Views

STEP_PX = 8  # of a line's crop, one time step of the recogniser
CERTAIN = 32_767  # a probability of 1 in 16 bits, which keep the four decimals that scores have


@dataclass(frozen=True)
class UprightPages(Views):
    """Pages with their orientation undone: views whose frame is the upright one."""

    quarter_turns: Tensor  # (P,) int64, clockwise quarter turns of the content in the image
    probabilities: Tensor  # (P, 4) float32, of each turn, by page orientation


@dataclass(frozen=True)
class Regions:
    """Layout regions of all pages."""

    boxes_px: Tensor  # (R, 4) float32, x0, y0, x1, y1 in the upright frame
    labels: Tensor  # (R,) int64, index into the layout model's classes
    scores: Tensor  # (R,) float32
    page: Tensor  # (R,) int64, ascending


@dataclass(frozen=True)
class Readings:
    """Lines as the recogniser is to read them: each once, and once more turned by 180 degrees where in doubt."""

    quads_px: Tensor  # (N, 4, 2) float32 in the upright frame, from the text's supposed top left
    page: Tensor  # (N,) int64
    line: Tensor  # (N,) int64, the line that is read; the first L readings are the lines in their order
    widths_px: Tensor  # (N,) int64, width of the crop at the recogniser's height
    line_count: int  # L


@dataclass(frozen=True)
class Texts:
    """What was read."""

    quads_px: Tensor  # (L, 4, 2) float32 in the upright frame, from the text's own top left
    page: Tensor  # (L,) int64, ascending
    scores: Tensor  # (L,) float32, mean probability of the characters; 0 for no character
    widths_px: Tensor  # (L,) int64, how much of its crop each line fills
    tokens: Tensor  # (ΣT,) int16, class indices of all readings end to end; 0 where the collapse left nothing
    probabilities: Tensor  # (ΣT,) int16, of the most probable class of each step, in parts of CERTAIN
    begin: Tensor  # (L,) int64, where each line's tokens begin
    steps: Tensor  # (L,) int64, how many there are
