"""Charts, and pictures with what was found in them, as SVG; the style sheets colour them, and follow the theme."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from quintet_client.viewer.data.speed import WIDTHS_S, Sitting
from quintet_client.viewer.data.summary import Amount
from quintet_client.viewer.schemas.shapes import Drawing, Shape

WIDTH_PX = 1160
_HEIGHT = 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 30, 12, 30
_TICK_EVERY = 90
# From the frame of a picture, whose content is turned clockwise, to the upright one.
_UPRIGHT = {
    0: "",
    90: ' transform="translate(0 {width}) rotate(-90)"',
    180: ' transform="translate({width} {height}) rotate(180)"',
    270: ' transform="translate({height} 0) rotate(90)"',
}
# XML has no form for these; HTML does not need them.
_UNPRINTABLE = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127, 0xFFFE, 0xFFFF], "\ufffd")


def speed_chart(sitting: Sitting, width_px: int = WIDTH_PX) -> str:
    """Draw pages a second over time: a column a bin, failures on top in their own colour, a line at the mean."""
    top, step = _scale(max((_ends_per_s(part) for part in sitting.bins), default=0.0))
    plot = _Plot(width_px, sitting.seconds, top)
    body = [plot.ruler(value * step) for value in range(round(top / step) + 1)]
    body += [_column(part, sitting, plot) for part in sitting.bins]
    body += plot.moments()
    y = plot.y(sitting.pages_per_s)
    body.append(f'<line class="mean" x1="{_LEFT}" x2="{width_px - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    label = f"Pages a second over {clock(sitting.seconds)}; {sitting.pages_per_s:.2f} on average"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {width_px} {_HEIGHT}" role="img" '
        f'aria-label="{safe(label)}">{"".join(body)}</svg>'
    )


def bars(amounts: Sequence[Amount]) -> str:
    """Write one horizontal bar an amount, as an HTML list: its text wraps where there is little room."""
    longest = max((amount.value for amount in amounts), default=0.0) or 1.0
    return f'<ul class="bars">{"".join(_bar(amount, longest) for amount in amounts)}</ul>'


def _bar(amount: Amount, longest: float) -> str:
    whole, part = (100 * value / longest for value in (amount.value, amount.part))
    kind = "fill light" if part else "fill"
    dark = f'<span class="fill" style="width:{part:.1f}%"></span>' if part else ""
    return (
        f'<li class="{amount.kind}"><span class="name">{safe(amount.label)}</span><span>{safe(amount.note)}</span>'
        f'<span class="track"><span class="{kind}" style="width:{whole:.1f}%"></span>{dark}</span></li>'
    )


def safe(text: str) -> str:
    """Escape text for XML and HTML; U+FFFD replaces what neither can hold."""
    return escape(text.translate(_UNPRINTABLE).encode("utf-8", "replace").decode())


def clock(seconds: float) -> str:
    """Write a duration as people do: 0:07, 12:30, 3:05:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _scale(largest: float) -> tuple[float, float]:
    """Round an axis up: where it ends, and the step between its rulers (1, 2 or 5 times a power of ten)."""
    raw = max(largest, 1e-3) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    return math.ceil(largest / step - 1e-9) * step or step, step


@dataclass(frozen=True, slots=True)
class _Plot:
    """Where things lie in a chart so wide, of so many seconds, up to so many pages a second."""

    width_px: int
    seconds: float
    top: float

    def x(self, seconds: float) -> float:
        return _LEFT + (self.width_px - _LEFT - _RIGHT) * seconds / self.seconds

    def y(self, pages_per_s: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - pages_per_s / self.top)

    def ruler(self, pages_per_s: float) -> str:
        y = self.y(pages_per_s)
        return (
            f'<line class="ruler" x1="{_LEFT}" x2="{self.width_px - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" text-anchor="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{pages_per_s:.6g}</text>'
        )

    def moments(self) -> list[str]:
        """Round times below the axis, as many as there is room for."""
        most = max(1, (self.width_px - _LEFT - _RIGHT) // _TICK_EVERY)
        step = next((width for width in WIDTHS_S if self.seconds <= width * most), WIDTHS_S[-1])
        return [
            f'<text class="tick" text-anchor="{"middle" if at else "start"}" x="{self.x(at):.1f}" y="{_HEIGHT - 8}">'
            f"{clock(at)}</text>"
            for at in range(0, math.floor(self.seconds) + 1, step)
        ]


def _ends_per_s(part: Sitting) -> float:
    return (part.ok + part.failed) / part.seconds


def _column(part: Sitting, sitting: Sitting, plot: _Plot) -> str:
    start_s = (part.started_at - sitting.started_at).total_seconds()
    x = plot.x(start_s)
    width = max(1.0, plot.x(start_s + part.seconds) - x - 1)
    high, split, ground = plot.y(_ends_per_s(part)), plot.y(part.pages_per_s), plot.y(0)
    span = f"{clock(start_s)} to {clock(start_s + part.seconds)}"
    failed = f", {part.failed} failed" if part.failed else ""
    return (
        f"<g><title>{span}: {part.pages_per_s:.2f} pages/s{failed}</title>"
        f'<rect class="bar" x="{x:.1f}" width="{width:.1f}" y="{split:.1f}" height="{ground - split:.1f}"/>'
        f'<rect class="bar bad" x="{x:.1f}" width="{width:.1f}" y="{high:.1f}" height="{split - high:.1f}"/></g>'
    )


def draw_shapes(drawing: Drawing, picture: str) -> str:
    """Draw a result as SVG that takes its colours from drawing.css.

    `picture` is the URI of its image; empty to draw without.
    """
    width, height = drawing.width_px, drawing.height_px
    across, down = (height, width) if drawing.angle_deg in {90, 270} else (width, height)
    upright = _UPRIGHT[drawing.angle_deg].format(width=width, height=height)
    image = f'<image href="{picture}" width="{width}" height="{height}" preserveAspectRatio="none"/>' if picture else ""
    shapes = "".join(map(_polygon, drawing.shapes))
    return (
        f'<svg class="page" viewBox="0 0 {across} {down}" role="img" aria-label="{safe(drawing.said)}">'
        f'<g{upright}><rect class="paper" width="{width}" height="{height}"/>{image}{shapes}</g></svg>'
    )


def _polygon(shape: Shape) -> str:
    points = " ".join(f"{x:g},{y:g}" for x, y in shape.points_px)
    label = f' data-label="{safe(shape.label)}"' if shape.label else ""
    return f'<polygon class="{shape.kind}"{label} points="{points}"><title>{safe(shape.title)}</title></polygon>'
