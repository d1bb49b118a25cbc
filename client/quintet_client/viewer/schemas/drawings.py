"""The schemas whose results can be drawn."""

from collections.abc import Callable, Mapping
from typing import Any

from quintet_client.errors import PageError
from quintet_client.output.formats import PHOTO_SCHEMA
from quintet_client.service.documents import PAGE_SCHEMA
from quintet_client.viewer.schemas import pages, photos
from quintet_client.viewer.schemas.shapes import Drawing

_DRAW: Mapping[str, Callable[[Mapping[str, Any]], Drawing]] = {PAGE_SCHEMA: pages.draw, PHOTO_SCHEMA: photos.draw}


def drawing_of(document: Mapping[str, Any]) -> Drawing | None:
    """Draw a result; None if nobody draws its schema, or it is not as that promises."""
    draw = _DRAW.get(str(document.get("schema")))
    try:
        return draw(document) if draw else None
    except PageError:
        return None
