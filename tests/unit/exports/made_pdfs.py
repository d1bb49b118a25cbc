"""Searchable PDFs of made-up pages, and what PDFium, Chrome's reader, shows and copies of them."""

from __future__ import annotations

import numpy as np
import pypdfium2
from PIL import Image, ImageDraw
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


def searchable(tmp_path, body, *pages) -> bytes:
    return pdf.render(document(*pages, original=original(tmp_path / "original", body)))


def text_of(body: bytes) -> str:
    """What PDFium, Chrome's reader, copies out of a PDF."""
    with pypdfium2.PdfDocument(body) as opened:
        return " ".join(" ".join(one.get_textpage().get_text_range() for one in opened).split())


def shown(body: bytes, size=SIZE, number=0) -> np.ndarray:
    """A page as PDFium shows it, in as many pixels."""
    with pypdfium2.PdfDocument(body) as opened:
        image = opened[number].render(scale=size[0] / opened[number].get_width()).to_pil().convert("RGB")
    return np.asarray(image.resize(size)).astype(int)
