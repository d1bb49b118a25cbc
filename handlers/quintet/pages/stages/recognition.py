"""Text recognition: what each line says."""

import torch
from torch import Tensor

from quintet.engine.calls import HALVES, full_call
from quintet.engine.engine import Engine
from quintet.pages.budgets import Budgets
from quintet.pages.records import CERTAIN, STEP_PX, Readings, Texts, UprightPages
from quintet.pages.settings import Settings
from quintet.pages.stages.line_crops import HEIGHT_PX, LineCrops
from quintet.tensors.sampling import in_eighths

BLANK = 0
# Where the likeliest class is the blank, a space is read all the same if it has this probability: the network often
# says a narrow gap that faintly. Of receipts' words 0.2 % more are right with anything from 0.1 to 0.3.
_FAINT = 0.2


class Recognition:
    """A CTC recogniser over the lines of all pages together, in buckets of equal width.

    Attention sees the padding, so a line's bucket depends on that line alone.
    """

    def __init__(self, engine: Engine, settings: Settings, budgets: Budgets, space: int | None) -> None:
        """Take the network `recognition` of the engine; `space` is the class of the space, if it has one."""
        self._engine = engine
        self._settings = settings
        self._budgets = budgets
        self._space = space
        columns = budgets.line_columns
        full = {(3, HEIGHT_PX, width): full_call(width, columns) for width in all_bucket_widths(settings)}
        # Collapsed within the call: 64 lines' probabilities fill 383 MB.
        self._tokens = engine.in_few_shapes(engine.network("recognition", self._collapsed), full, HALVES)

    def __call__(self, pages: UprightPages, readings: Readings) -> Texts:
        """Read the lines. The host learns the widths, because calls are planned there."""
        (widths,) = self._engine.to_host(readings.widths_px)
        buckets = bucket_widths(widths, self._settings)
        budgets = self._budgets
        calls = self._engine.plan(buckets[:, None], budgets.line_columns, HALVES, few_sizes=budgets.few_sizes)
        canvases_px = [int(buckets[call[0]]) for call in calls]
        crops, dtype = LineCrops.of(pages, readings.quads_px, readings.page, readings.widths_px), self._engine.dtype
        # Of each call what `_collapsed` says.
        read = self._engine.each(
            lambda call: self._tokens(crops.on_canvas(*call, dtype)),
            list(zip(self._engine.calls_to_device(calls), canvases_px, strict=True)),
        )
        return self._decode(readings, buckets, calls, read)

    def _collapsed(self, probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of (n, T, K) probabilities tokens and the largest of each step, (n, T) twice, and scores (n,)."""
        best, classes = self._engine.largest(probabilities)
        if self._space is not None:
            best, classes = with_faint_spaces(best, classes, probabilities[..., self._space], self._space)
        tokens, scores = collapse(best, classes)
        return tokens, best, scores

    def _decode(
        self, readings: Readings, buckets: Tensor, calls: list[Tensor], read: list[tuple[Tensor, ...]]
    ) -> Texts:
        """Put the calls' results in the lines' order and keep the more confident reading of each line."""
        order = torch.cat([buckets[:0], *calls])
        steps = buckets // STEP_PX
        ends = steps[order].cumsum(0)
        begin = torch.empty_like(steps).scatter_(0, order, ends - steps[order])
        tokens = torch.cat([readings.line.new_empty(0, dtype=torch.int16), *(tokens.view(-1) for tokens, *_ in read)])
        nothing = readings.quads_px.new_empty(0)
        probabilities = torch.cat([nothing, *(best.view(-1) for _, best, _ in read)])
        in_call_order = torch.cat([nothing, *(scores for *_, scores in read)])
        scores = torch.empty_like(in_call_order).scatter_(0, self._engine.to_device(order), in_call_order)
        chosen = most_confident(readings.line, scores, readings.line_count)
        begin, steps = self._engine.to_device(begin)[chosen], self._engine.to_device(steps)[chosen]
        return Texts(
            quads_px=readings.quads_px[chosen],
            page=readings.page[chosen],
            scores=scores[chosen],
            widths_px=readings.widths_px[chosen],
            tokens=tokens,
            probabilities=(probabilities * CERTAIN).round().to(torch.int16),
            begin=begin,
            steps=steps,
        )


def bucket_widths(widths_px: Tensor, settings: Settings) -> Tensor:
    """Widths rounded up to an eighth of the power of two below them, (N,) int64: at most 12.5 % padding.

    Nothing is narrower than the least bucket: receipts read at 64 pixels as at 192 (word F1 0.964 and 0.962).
    """
    return in_eighths(widths_px.clamp(min=settings.min_bucket_px), STEP_PX)


def all_bucket_widths(settings: Settings) -> list[int]:
    """Every width that a bucket can have."""
    widths: list[int] = bucket_widths(torch.arange(1, settings.max_line_px + 1), settings).unique().tolist()
    return widths


def most_confident(line: Tensor, scores: Tensor, line_count: int) -> Tensor:
    """The best of (N,) readings of each line, of equals the first: (L,) int64. The first L are lines 0 to L - 1."""
    readings = torch.arange(len(line), device=line.device)
    chosen, again, line_again = readings[:line_count].clone(), readings[line_count:], line[line_count:]
    chosen[line_again] = torch.where(scores[line_count:] > scores[line_again], again, line_again)
    return chosen


def with_faint_spaces(best: Tensor, classes: Tensor, spaces: Tensor, space: int) -> tuple[Tensor, Tensor]:
    """The best path through spaces that are likely enough in place of blanks: (N, T) three times to twice.

    Args:
        best: float, the probability of the most probable class of each step.
        classes: int64, that class.
        spaces: float, the probability of the space at each step.
        space: its class.
    """
    faint = (classes == BLANK) & (spaces > _FAINT)
    return torch.where(faint, spaces, best), classes.masked_fill(faint, space)


def collapse(best: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """The best path of each line, repeats and blanks taken out in place.

    Source: A. Graves et al., Connectionist Temporal Classification (ICML 2006), best-path decoding.

    Args:
        best: (N, T) float, the probability of the most probable class of each step.
        classes: (N, T) int64, that class; 0 is the blank.

    Returns:
        Tokens (N, T) int16, the class where a character begins and 0 elsewhere; and scores (N,) float32, the mean
        probability of the characters, 0 where there is none.
    """
    repeated = torch.zeros_like(classes, dtype=torch.bool)
    repeated[:, 1:] = classes[:, 1:] == classes[:, :-1]
    begins = (classes != BLANK) & ~repeated
    total = (best.float() * begins).sum(dim=1)
    return (classes * begins).to(torch.int16), total / begins.sum(dim=1).clamp(min=1)
