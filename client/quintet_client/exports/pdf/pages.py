"""Pages of an original PDF: the frame they are displayed in, and whether they hold text already."""

import pikepdf
from pikepdf import Array, Dictionary, Matrix, Name, Rectangle, String

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
    media = Rectangle(page.mediabox)
    box = Rectangle(page.cropbox) & media
    if box.width <= 0 or box.height <= 0:
        box = media
    match int(page.get("/Rotate", 0)) % 360:
        case 90:
            return Matrix(0, box.height / width_px, box.width / height_px, 0, box.llx, box.lly)
        case 180:
            return Matrix(-box.width / width_px, 0, 0, box.height / height_px, box.urx, box.lly)
        case 270:
            return Matrix(0, -box.height / width_px, -box.width / height_px, 0, box.urx, box.ury)
        case _:
            return Matrix(box.width / width_px, 0, 0, -box.height / height_px, box.llx, box.ury)


def holds_text(page: pikepdf.Page, characters: int) -> bool:
    """Whether a page shows about as much text by itself as was read on it: a second layer would double every word."""
    resources = _inherited(page.obj, "/Resources") or Dictionary()
    return _characters(page, resources, 0) >= max(1, _OWN_TEXT_SHARE * characters)


def _characters(content: pikepdf.Page | pikepdf.Object, resources: pikepdf.Object, depth: int) -> int:
    """Count the codes that a content stream shows, and the forms it paints; some fonts take two codes a character."""
    count = 0
    for instruction in pikepdf.parse_content_stream(content):
        operator, operands = str(instruction.operator), instruction.operands
        if operator in _SHOWS_TEXT:
            parts = [part for shown in operands for part in (shown if isinstance(shown, Array) else [shown])]
            count += sum(len(bytes(part)) for part in parts if isinstance(part, String))
        elif operator == "Do" and depth < _DEEPEST_FORM:
            form = resources.get("/XObject", Dictionary()).get(str(operands[0]))
            if form is not None and form.get("/Subtype") == Name.Form:
                count += _characters(form, form.get("/Resources", resources), depth + 1)
    return count
