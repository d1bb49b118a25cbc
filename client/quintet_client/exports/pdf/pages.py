"""Pages of an original PDF: the frame they are displayed in, and whether they hold text already."""

import pikepdf
from pikepdf import Name

from quintet_client.exports.pdf.text import Matrix

_SHOWS_TEXT = frozenset({"Tj", "TJ", "'", '"'})
# A stamp or a page number on a scan is no text layer; half of what was read on the page is one.
_OWN_TEXT_SHARE = 0.5
_DEEPEST_FORM = 4
_DEEPEST_TREE = 64


def settled(page: pikepdf.Page) -> None:
    """Make a page ready for more content: nothing inherited, and no state left behind by its own content."""
    for key in ("/Resources", "/Rotate", "/MediaBox", "/CropBox"):
        value = _inherited(page.obj, key)
        if value is not None:
            page.obj[key] = value
    page.contents_add(b"q", prepend=True)
    page.contents_add(b"Q")


def _inherited(node: pikepdf.Object, key: str) -> pikepdf.Object | None:
    """Look a page's attribute up through the page tree."""
    for _level in range(_DEEPEST_TREE):
        if key in node or "/Parent" not in node:
            return node.get(key)
        node = node["/Parent"]
    return None


def displayed_frame(page: pikepdf.Page, width_px: int, height_px: int) -> Matrix:
    """Return the transform from the page as a viewer shows it, in pixels, to the page's own space.

    A viewer shows the crop box, as far as it lies within the media box, turned clockwise by `/Rotate`. The size is
    that of the picture that was made of it.
    """
    left, bottom, right, top = _displayed_box(page)
    width, height = right - left, top - bottom
    match int(page.get("/Rotate", 0)) % 360:
        case 90:
            return (0, height / width_px, width / height_px, 0, left, bottom)
        case 180:
            return (-width / width_px, 0, 0, height / height_px, right, bottom)
        case 270:
            return (0, -height / width_px, -width / height_px, 0, right, top)
        case _:
            return (width / width_px, 0, 0, -height / height_px, left, top)


def _displayed_box(page: pikepdf.Page) -> tuple[float, float, float, float]:
    crop, media = _ordered(page.cropbox), _ordered(page.mediabox)
    left, bottom = max(crop[0], media[0]), max(crop[1], media[1])
    right, top = min(crop[2], media[2]), min(crop[3], media[3])
    return (left, bottom, right, top) if left < right and bottom < top else media


def _ordered(box: pikepdf.Array) -> tuple[float, float, float, float]:
    """Left, bottom, right, top, whichever corners were given."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    return (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def holds_text(page: pikepdf.Page, characters: int) -> bool:
    """Whether a page shows about as much text by itself as was read on it: a second layer would double every word."""
    return _characters(page, _inherited(page.obj, "/Resources"), 0) >= max(1, _OWN_TEXT_SHARE * characters)


def _characters(content: pikepdf.Page | pikepdf.Object, resources: pikepdf.Object | None, depth: int) -> int:
    """Count the codes that a content stream shows, and the forms it paints; some fonts take two codes a character."""
    count = 0
    for instruction in pikepdf.parse_content_stream(content):
        operator, operands = str(instruction.operator), instruction.operands
        if operator in _SHOWS_TEXT:
            count += sum(map(_length, operands))
        elif operator == "Do" and depth < _DEEPEST_FORM:
            form = _form(resources, operands[0])
            if form is not None:
                count += _characters(form, form.get("/Resources", resources), depth + 1)
    return count


def _length(operand: pikepdf.Object) -> int:
    if isinstance(operand, pikepdf.Array):
        return sum(map(_length, operand))
    return len(bytes(operand)) if isinstance(operand, pikepdf.String) else 0


def _form(resources: pikepdf.Object | None, name: pikepdf.Object) -> pikepdf.Object | None:
    objects = resources.get("/XObject") if resources is not None else None
    found = objects.get(str(name)) if objects is not None else None
    return found if found is not None and found.get("/Subtype") == Name.Form else None
