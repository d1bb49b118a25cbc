"""`hocr`: pages, areas, lines and words with their boxes as hOCR 1.2, well-formed as XHTML.

The frame is that of the results: pixels of the image as a viewer shows it, before page orientation is undone.
"""

import math
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, SubElement

from quintet_client.api.results import BoxPx, Line, PageResult
from quintet_client.exports.documents import Document, DocumentPage
from quintet_client.exports.layout.blocks import Block, blocks_of, box_around
from quintet_client.exports.layout.words import runs_leftward, words_of

_NAMESPACE = "http://www.w3.org/1999/xhtml"
# All classes that may occur, whether they do or not: capabilities tell a reader what to expect.
_CLASSES = {"header": "ocr_header", "footer": "ocr_footer", "table": "ocr_table", "figure": "ocr_image"}
_AREA = "ocr_carea"
_CAPABILITIES = ("ocr_page", _AREA, *_CLASSES.values(), "ocr_par", "ocr_line", "ocrx_word", "ocrp_wconf", "ocrp_dir")


def render(document: Document) -> bytes:
    """One XHTML file a document; a page that failed has no `ocr_page`, but a note that says so."""
    html = Element("html", {"xmlns": _NAMESPACE, "lang": "und"})
    head = SubElement(html, "head")
    SubElement(head, "meta", {"charset": "utf-8"})
    SubElement(head, "title").text = document.name
    for name, content in (
        ("ocr-system", " ".join(["Quintet", *document.models])),
        ("ocr-capabilities", " ".join(_CAPABILITIES)),
        ("ocr-number-of-pages", str(sum(page.page is not None for page in document.pages))),
        ("ocr-langs", "unknown"),
        ("ocr-scripts", "unknown"),
    ):
        SubElement(head, "meta", {"name": name, "content": content})
    body = SubElement(html, "body")
    for page in document.pages:
        body.append(_page(document, page))
    ET.indent(html, space=" ")
    return f"<!DOCTYPE html>\n{ET.tostring(html, encoding='unicode')}\n".encode()


def _page(document: Document, page: DocumentPage) -> Element:
    number, read = page.number, page.page
    if read is None:
        note = Element("div", {"class": "quintet_unread", "id": f"page_{number}"})
        note.text = f"page {number} was not read: {page.code}"
        return note
    image = document.name.translate({ord('"'): "%22", ord(";"): "%3B", ord("\\"): "%5C"})
    title = f'image "{image}"; bbox 0 0 {read.width_px} {read.height_px}; ppageno {number - 1}'
    element = Element("div", {"class": "ocr_page", "id": f"page_{number}", "title": title})
    for place, block in enumerate(blocks_of(read), start=1):
        element.append(_area(read, block, f"{number}_{place}"))
    if not len(element):
        element.text = "\n"  # written as <div/> it would stay open for readers of HTML
    return element


def _area(page: PageResult, block: Block, name: str) -> Element:
    area = Element("div", {"class": _CLASSES.get(block.label, _AREA), "id": f"block_{name}"})
    area.attrib |= {"title": _bbox(block.box_px), "data-label": block.label}
    if block.region is not None:
        area.set("data-score", f"{page.regions[block.region].score:.4f}")
    lines = [line for line in block.lines if line.text]
    if not lines:
        area.text = "\n"
        return area
    box = _bbox(box_around(point for line in lines for point in line.quad_px))
    paragraph = SubElement(area, "p", {"class": "ocr_par", "id": f"par_{name}", "title": box})
    for place, line in enumerate(lines, start=1):
        paragraph.append(_line(line, f"{name}_{place}"))
    return area


def _line(line: Line, name: str) -> Element:
    angle_deg = _textangle_deg(line)
    title = _bbox(box_around(line.quad_px)) + (f"; textangle {angle_deg:g}" if angle_deg else "")
    element = Element("span", {"class": "ocr_line", "id": f"line_{name}", "title": title})
    for place, word in enumerate(words_of(line), start=1):
        title = f"{_bbox(box_around(word.quad_px))}; x_wconf {round(100 * min(max(word.score, 0.0), 1.0))}"
        span = SubElement(element, "span", {"class": "ocrx_word", "id": f"word_{name}_{place}", "title": title})
        if runs_leftward(word.text):
            span.set("dir", "rtl")
        span.text = word.text
    return element


def _bbox(box: BoxPx) -> str:
    x0, y0, x1, y1 = box
    # Detected lines may reach over the image's edge, and hOCR's numbers have no sign.
    return f"bbox {max(math.floor(x0), 0)} {max(math.floor(y0), 0)} {math.ceil(x1)} {math.ceil(y1)}"


def _textangle_deg(line: Line) -> float:
    """How far the text is turned counterclockwise, 0 to 360."""
    (x0, y0), (x1, y1) = line.quad_px[:2]
    return round(math.degrees(math.atan2(y0 - y1, x1 - x0)), 1) % 360
