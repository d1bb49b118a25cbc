"""Pages (quintet.page/1): regions in colour, lines in outline."""

from collections.abc import Mapping
from typing import Any

from quintet_client.api.results import page_of
from quintet_client.viewer.schemas.shapes import Drawing, Shape, corners_of, counted


def draw(document: Mapping[str, Any]) -> Drawing:
    """Draw a page; raises PageError if it is not as documented."""
    page = page_of(document)
    angle_deg = page.orientation.angle_deg
    regions = (
        Shape("region", region.label, f"{region.label} {region.score:.2f}", corners_of(region.box_px))
        for region in page.regions
    )
    lines = (Shape("line", "", line.text, line.quad_px) for line in page.lines)
    turned = f", turned by {angle_deg}°" if angle_deg else ""
    said = f"{counted(len(page.lines), 'line')}, {counted(len(page.regions), 'region')}{turned}"
    return Drawing(page.width_px, page.height_px, (*regions, *lines), said, page.text, angle_deg)
