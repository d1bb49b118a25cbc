"""`alto`: pages, blocks, lines and words with their boxes as ALTO 4.2.

The frame is that of the results: pixels of the image as a viewer shows it, before page orientation is undone.
"""

from collections.abc import Iterable
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, SubElement

from quintet_client.api.results import BoxPx, Line, PageResult, PointPx
from quintet_client.exports.documents import Document, DocumentPage
from quintet_client.exports.layout.blocks import Block, blocks_of, box_around
from quintet_client.exports.layout.words import words_of

_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
_SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-2.xsd"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"


def render(document: Document) -> bytes:
    """One file a document; a page that failed is a `Page` of quality "Missing" with the code as its detail."""
    alto = Element("alto", {"xmlns": _NAMESPACE, "xmlns:xsi": _INSTANCE, "SCHEMAVERSION": "4.2"})
    alto.set("xsi:schemaLocation", f"{_NAMESPACE} {_SCHEMA}")
    _describe(alto, document)
    labels = sorted({block.label for page in document.pages if page.page for block in blocks_of(page.page)})
    tags = {label: f"label_{place}" for place, label in enumerate(labels, start=1)}
    if tags:
        described = SubElement(alto, "Tags")
        for label, name in tags.items():
            SubElement(described, "LayoutTag", {"ID": name, "LABEL": label})
    layout = SubElement(alto, "Layout")
    for page in document.pages:
        layout.append(_page(page, tags))
    ET.indent(alto, space=" ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(alto, encoding="unicode")}\n'.encode()


def _describe(alto: Element, document: Document) -> None:
    description = SubElement(alto, "Description")
    SubElement(description, "MeasurementUnit").text = "pixel"
    SubElement(SubElement(description, "sourceImageInformation"), "fileName").text = document.name
    for place, model in enumerate(document.models, start=1):
        step = SubElement(description, "Processing", {"ID": f"model_{place}"})
        software = SubElement(step, "processingSoftware")
        SubElement(software, "softwareName").text = "Quintet"
        SubElement(software, "softwareVersion").text = model


def _page(page: DocumentPage, tags: dict[str, str]) -> Element:
    element = Element("Page", {"ID": f"page_{page.number}", "PHYSICAL_IMG_NR": str(page.number)})
    if page.page is None:
        element.attrib |= {"QUALITY": "Missing", "QUALITY_DETAIL": page.code}
        return element
    read = page.page
    element.attrib |= {"WIDTH": str(read.width_px), "HEIGHT": str(read.height_px)}
    space = SubElement(element, "PrintSpace", _place((0, 0, read.width_px, read.height_px)))
    for place, block in enumerate(blocks_of(read), start=1):
        space.append(_block(read, block, f"{page.number}_{place}", tags))
    return element


def _block(page: PageResult, block: Block, name: str, tags: dict[str, str]) -> Element:
    lines = [line for line in block.lines if line.text]
    element = Element("TextBlock" if lines else "Illustration", {"ID": f"block_{name}", **_place(block.box_px)})
    element.set("TAGREFS", tags[block.label])
    if page.orientation.angle_deg:
        element.set("ROTATION", str(360 - page.orientation.angle_deg))  # counterclockwise in ALTO
    for place, line in enumerate(lines, start=1):
        element.append(_line(line, f"{name}_{place}"))
    return element


def _line(line: Line, name: str) -> Element:
    element = Element("TextLine", {"ID": f"line_{name}", **_place(box_around(line.quad_px))})
    element.set("BASELINE", _points(line.quad_px[:1:-1]))
    _add_shape(element, line.quad_px)
    before: BoxPx | None = None
    for place, word in enumerate(words_of(line), start=1):
        box = box_around(word.quad_px)
        if before:
            right, top = min(before[2], box[2]), min(before[1], box[1])
            SubElement(element, "SP", {"HPOS": _number(right), "VPOS": _number(top)})
        string = SubElement(element, "String", {"ID": f"word_{name}_{place}", **_place(box), "CONTENT": word.text})
        string.set("WC", f"{min(max(word.score, 0.0), 1.0):.4f}")
        _add_shape(string, word.quad_px)
        before = box
    return element


def _add_shape(element: Element, quad_px: Iterable[PointPx]) -> None:
    SubElement(SubElement(element, "Shape"), "Polygon", {"POINTS": _points(quad_px)})


def _points(points: Iterable[PointPx]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _place(box: BoxPx) -> dict[str, str]:
    x0, y0, x1, y1 = box
    return {"HPOS": _number(x0), "VPOS": _number(y0), "WIDTH": _number(x1 - x0), "HEIGHT": _number(y1 - y0)}


def _number(pixels: float) -> str:
    return f"{round(pixels, 1) + 0.0:g}"  # + 0.0: no "-0"
