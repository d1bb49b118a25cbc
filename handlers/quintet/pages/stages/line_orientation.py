"""Line orientation: which lines may stand on their head."""

import torch
from torch import Tensor

from quintet.engine.calls import full_call
from quintet.engine.engine import Engine
from quintet.pages.budgets import Budgets
from quintet.pages.records import Readings, UprightPages
from quintet.pages.settings import Settings
from quintet.pages.stages.line_crops import HEIGHT_PX, LineCrops, crop_widths, upright_quads
from quintet.tensors.records import Lines

CANVAS_PX = 192


class LineOrientation:
    """A small classifier over the start of each line.

    On upright pages most of what it flags is upright (22 of 25 lines on real receipts), so a flag is a doubt, not a
    verdict: a flagged line is read both ways and the recogniser's confidence decides.
    """

    def __init__(self, engine: Engine, settings: Settings, budgets: Budgets) -> None:
        self._engine = engine
        self._settings = settings
        self._budgets = budgets
        full = {(3, HEIGHT_PX, CANVAS_PX): full_call(CANVAS_PX, budgets.line_columns)}
        self._network = engine.in_few_shapes(engine.network("line_orientation"), full)

    def __call__(self, pages: UprightPages, lines: Lines) -> Readings:
        """Say how each line is to be read. One data-dependent size: the flagged lines."""
        quads_px = upright_quads(lines.quads_px)
        # Longer lines are squeezed, as the model was trained.
        crops = LineCrops.of(pages, quads_px, lines.page, crop_widths(quads_px, CANVAS_PX))
        calls = self._engine.plan(torch.full((len(lines.page), 1), CANVAS_PX), self._budgets.line_columns)
        turned = self._engine.each(
            lambda call: self._network(crops.on_canvas(call, CANVAS_PX, self._engine.dtype))[0][:, 1],
            self._engine.calls_to_device(calls),
        )
        return self._decode(Lines(quads_px, lines.page), torch.cat([quads_px.new_empty(0), *turned]))

    def _decode(self, lines: Lines, turned: Tensor) -> Readings:
        """Each line, laid down, once; turned once more where its (L,) probability says that it stands on its head."""
        flagged = (turned > self._settings.turned_line_score).nonzero()[:, 0]
        return _readings(lines, flagged, self._settings)


def as_they_lie(settings: Settings, _pages: UprightPages, lines: Lines) -> Readings:
    """Every line read once, which is what there is without line orientation."""
    return _readings(Lines(upright_quads(lines.quads_px), lines.page), lines.page[:0], settings)


def _readings(lines: Lines, flagged: Tensor, settings: Settings) -> Readings:
    """Each line once, and the flagged ones, (F,) int64, turned once more."""
    line = torch.cat([torch.arange(len(lines.page), device=flagged.device), flagged])
    quads_px = torch.cat([lines.quads_px, lines.quads_px[flagged].roll(2, dims=1)])
    widths_px = crop_widths(quads_px, settings.max_line_px)
    return Readings(quads_px, lines.page[line], line, widths_px, line_count=len(lines.page))
