"""A page that says why there is none: drawn, as PDF/A wants fonts that are seen embedded, with a text layer."""

import io

from PIL import Image, ImageDraw, ImageFont

from quintet_client.api.results import Line, Orientation, PageResult
from quintet_client.exports.pdf.images import PageImage, page_image

_DPI = 150
_SIZE_PX = (1240, 1754)  # A4
_FONT_PX = 25
_PLACE_PX = (150, 150)


def notice(text: str) -> tuple[PageImage, PageResult]:
    """Draw a line of text as a page, and say where it is as if it had been read."""
    drawn, target = Image.new("1", _SIZE_PX, 1), io.BytesIO()
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(_FONT_PX)
    pen.text(_PLACE_PX, text, fill=0, font=font)
    drawn.save(target, "PNG", dpi=(_DPI, _DPI))
    x0, y0, x1, y1 = pen.textbbox(_PLACE_PX, text, font=font)
    line = Line(text, 1.0, ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    said = PageResult("", "", *_SIZE_PX, Orientation(0, 1.0), (), (line,), text)
    return page_image(target.getvalue(), 1), said
