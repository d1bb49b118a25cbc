"""A page drawn as SVG the way a person reads it: its image, its regions by label, its lines."""

from quintet_client.api.results import Line, PageResult, Region
from quintet_client.viewer.charts import safe


def draw_page(page: PageResult, picture: str) -> str:
    """Draw a page.

    Args:
        page: what was read; coordinates in the frame of the image as a viewer shows it.
        picture: URI of its image, turned upright already; empty to draw without.

    Returns:
        SVG that takes its colours from drawing.css.
    """
    width, height = upright_size_px(page)
    image = f'<image href="{picture}" width="{width}" height="{height}" preserveAspectRatio="none"/>' if picture else ""
    regions = "".join(_region(region) for region in page.regions)
    lines = "".join(_line(line) for line in page.lines)
    return (
        f'<svg class="page" viewBox="0 0 {width} {height}" role="img" aria-label="{len(page.lines)} lines drawn">'
        f'<rect class="paper" width="{width}" height="{height}"/>{image}'
        f'<g class="shapes" transform="{_upright(page)}">{regions}{lines}</g></svg>'
    )


def upright_size_px(page: PageResult) -> tuple[int, int]:
    """Width and height of a page once its content is upright."""
    size = (page.width_px, page.height_px)
    return size if page.orientation.angle_deg in {0, 180} else size[::-1]


def _upright(page: PageResult) -> str:
    """From the image's frame to the upright one: the turn undone, and moved back into view."""
    turns = {
        90: f"translate(0 {page.width_px}) rotate(-90)",
        180: f"translate({page.width_px} {page.height_px}) rotate(180)",
        270: f"translate({page.height_px} 0) rotate(90)",
    }
    return turns.get(page.orientation.angle_deg, "")


def _region(region: Region) -> str:
    x0, y0, x1, y1 = region.box_px
    return (
        f'<rect class="region" data-label="{safe(region.label)}" x="{x0:g}" y="{y0:g}" width="{max(0, x1 - x0):g}" '
        f'height="{max(0, y1 - y0):g}"><title>{safe(region.label)} {region.score:.2f}</title></rect>'
    )


def _line(line: Line) -> str:
    points = " ".join(f"{x:g},{y:g}" for x, y in line.quad_px)
    return f'<polygon class="line" points="{points}"><title>{safe(line.text)}</title></polygon>'
