"""Charts, and pictures with what was found in them, as SVG; the style sheets colour them, and follow the theme."""

import math
from collections.abc import Sequence
from datetime import timedelta
from html import escape

from quintet_client.viewer.data.speed import Sitting
from quintet_client.viewer.data.summary import Amount
from quintet_client.viewer.schemas.shapes import Drawing, Shape

_WIDTH, _HEIGHT = 1160, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 30
_ROWS_WIDTH, _ROW, _LABEL, _NUMBER = 620, 30, 190, 160
# From the frame of a picture, whose content is turned clockwise, to the upright one.
_UPRIGHT = {
    0: "",
    90: ' transform="translate(0 {width}) rotate(-90)"',
    180: ' transform="translate({width} {height}) rotate(180)"',
    270: ' transform="translate({height} 0) rotate(90)"',
}
# XML has no form for these; HTML does not need them.
_UNPRINTABLE = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127, 0xFFFE, 0xFFFF], "\ufffd")


def speed_chart(sitting: Sitting) -> str:
    """Draw pages a second over time: a column a bin, failures on top in their own colour, a line at the mean."""
    top, step = _scale(max(part.pages_per_s for part in sitting.bins))
    body = [_ruler(value * step, top) for value in range(round(top / step) + 1)]
    body += [_column(part, sitting, top) for part in sitting.bins]
    body += [_moment(sitting, share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    y = _y(sitting.pages_per_s, top)
    body.append(f'<line class="mean" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    label = f"Pages a second over {clock(sitting.seconds)}; {sitting.pages_per_s:.2f} on average"
    return _svg(_WIDTH, _HEIGHT, label, body, "columns")


def bar_chart(amounts: Sequence[Amount], label: str) -> str:
    """Draw one horizontal bar an amount."""
    longest = max((amount.value for amount in amounts), default=0.0) or 1.0
    space = _ROWS_WIDTH - _LABEL - _NUMBER
    body = []
    for row, amount in enumerate(amounts):
        y = row * _ROW
        short = amount.label if len(amount.label) <= 22 else amount.label[:21] + "…"
        width, part = (max(1.5, space * value / longest) if value else 0 for value in (amount.value, amount.part))
        body.append(
            f"<g><title>{safe(amount.label)}: {safe(amount.note)}</title>"
            f'<text class="label" x="{_LABEL - 12}" y="{y + 19}">{safe(short)}</text>'
            f'<rect class="bar {amount.kind}" x="{_LABEL}" y="{y + 7}" width="{width:.1f}" height="16" rx="2"/>'
            f'<rect class="part" x="{_LABEL}" y="{y + 7}" width="{part:.1f}" height="16" rx="2"/>'
            f'<text class="note" x="{_LABEL + width + 8:.1f}" y="{y + 19}">{safe(amount.note)}</text></g>'
        )
    return _svg(_ROWS_WIDTH, max(1, len(amounts)) * _ROW, label, body, "rows")


def safe(text: str) -> str:
    """Escape text for XML and HTML; U+FFFD replaces what neither can hold."""
    return escape(text.translate(_UNPRINTABLE).encode("utf-8", "replace").decode())


def clock(seconds: float) -> str:
    """Write a duration as people do: 0:07, 12:30, 3:05:00."""
    whole = str(timedelta(seconds=round(seconds)))
    return whole.removeprefix("0:0") if whole.startswith("0:0") else whole.removeprefix("0:")


def _svg(width: int, height: int, label: str, body: Sequence[str], kind: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart {kind}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{safe(label)}">{"".join(body)}</svg>'
    )


def _scale(largest: float) -> tuple[float, float]:
    """Round an axis up: where it ends, and the step between its rulers (1, 2 or 5 times a power of ten)."""
    raw = max(largest, 1e-3) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    return math.ceil(largest / step - 1e-9) * step or step, step


def _y(value: float, top: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - value / top)


def _ruler(value: float, top: float) -> str:
    y = _y(value, top)
    return (
        f'<line class="ruler" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" text-anchor="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{value:.6g}</text>'
    )


def _moment(sitting: Sitting, share: float) -> str:
    x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * share
    anchor = {0.0: "start", 1.0: "end"}.get(share, "middle")
    text = clock(sitting.seconds * share)
    return f'<text class="tick" text-anchor="{anchor}" x="{x:.1f}" y="{_HEIGHT - 8}">{text}</text>'


def _column(part: Sitting, sitting: Sitting, top: float) -> str:
    px_per_s = (_WIDTH - _LEFT - _RIGHT) / sitting.seconds
    start_s = (part.started_at - sitting.started_at).total_seconds()
    x, width = _LEFT + start_s * px_per_s, max(1.0, part.seconds * px_per_s - 1)
    high = _y(part.pages_per_s, top)
    split = _y(part.ok / part.seconds, top)
    span = f"{clock(start_s)} to {clock(start_s + part.seconds)}"
    failed = f", {part.failed} failed" if part.failed else ""
    return (
        f"<g><title>{span}: {part.pages_per_s:.2f} pages/s{failed}</title>"
        f'<rect class="bar" x="{x:.1f}" width="{width:.1f}" y="{split:.1f}" height="{_y(0, top) - split:.1f}"/>'
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
