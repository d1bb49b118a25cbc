"""Searchable PDFs of made-up pages, and what PDFium, Chrome's reader, shows and copies of them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pypdfium2
from PIL import Image, ImageDraw
from quintet_client.exports.layout.blocks import box_around
from quintet_client.exports.pdf import searchable as pdf

from tests.unit.exports.made_results import document, original

SIZE = (800, 1000)


def picture(size=SIZE) -> Image.Image:
    """An image without any symmetry."""
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((10, 20, size[0] // 2, 90), fill="red")
    pen.rectangle((30, size[1] // 2, 120, size[1] - 40), fill="blue")
    return image


def searchable(tmp_path, body, *pages, passwords=()) -> bytes:
    made = document(*pages, original=original(tmp_path / "original", body))
    return pdf.render(replace(made, passwords=passwords))


def text_of(body: bytes) -> str:
    """What PDFium, Chrome's reader, copies out of a PDF."""
    with pypdfium2.PdfDocument(body) as opened:
        return " ".join(" ".join(one.get_textpage().get_text_range() for one in opened).split())


def word_boxes(body: bytes) -> list[tuple[str, tuple[float, ...]]]:
    """Words with their boxes on the unturned page, as shares of its size, from the top: by PDFium's characters."""
    with pypdfium2.PdfDocument(body) as opened:
        sheet = opened[0]
        text = sheet.get_textpage()
        left, bottom, right, top = sheet.get_mediabox()
        wide, high = right - left, top - bottom
        found = []
        for match in re.finditer(r"\S+", "".join(text.get_text_range(at, 1) for at in range(text.count_chars()))):
            boxes = [text.get_charbox(at) for at in range(*match.span())]
            x0, y0, x1, y1 = box_around([p for a, b, c, d in boxes for p in ((a, b), (c, d))])
            found.append((match.group(), (x0 / wide, 1 - y1 / high, x1 / wide, 1 - y0 / high)))
        return found


def overlap(first, second) -> float:
    """Intersection over union of two boxes."""
    wide = min(first[2], second[2]) - max(first[0], second[0])
    high = min(first[3], second[3]) - max(first[1], second[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    shared = max(wide, 0) * max(high, 0)
    return shared / (sum(areas) - shared)


def shown(body: bytes, size=SIZE, number=0) -> np.ndarray:
    """A page as PDFium shows it, in as many pixels."""
    with pypdfium2.PdfDocument(body) as opened:
        image = opened[number].render(scale=size[0] / opened[number].get_width()).to_pil().convert("RGB")
    return np.asarray(image.resize(size)).astype(int)
