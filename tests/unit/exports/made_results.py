"""Results as the service answers them, made up for the tests of the exports."""

from __future__ import annotations

import io
import json

from PIL import Image
from quintet_client.exports.documents import Document, DocumentPage, clean_page


def line(text, x=100.0, y=100.0, width=None, height=30.0, region=None, score=0.987654):
    """A level line at a place; as wide as its text usually is."""
    width = width or max(0.5 * height * len(text), 1.0)
    corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]
    return {"text": text, "score": score, "quad_px": corners, "region": region}


def word(text, x0, x1, y0=100.0, y1=130.0, score=0.75):
    """A level word as the service sees it."""
    return {"text": text, "score": score, "quad_px": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]}


def region(label, *box, score=0.9):
    return {"label": label, "score": score, "box_px": list(box)}


def answer(lines=(), regions=(), size=(800, 1000), angle_deg=0, **more):
    """The bytes of a result file."""
    document = {
        "schema": "quintet.page/1",
        "model": "made-up",
        "width_px": size[0],
        "height_px": size[1],
        "orientation": {"angle_deg": angle_deg, "score": 0.99},
        "regions": list(regions),
        "lines": list(lines),
        "text": "\n".join(line["text"] for line in lines),
    }
    return json.dumps({**document, **more}).encode()


def page(lines=(), regions=(), **options):
    """A typed page as the exporters see it."""
    return clean_page(json.loads(answer(lines, regions, **options)))


def document(*pages, name="a.png", original=(None, -1)):
    """Pages as one document: an image if there is one, else a PDF; None stands for a page that failed."""
    name = name if len(pages) == 1 else "a.pdf"
    ids = [name] if len(pages) == 1 else [f"{name}#{number}" for number in range(1, len(pages) + 1)]
    ends = [
        DocumentPage(page_id, number, "ok", found)
        if found is not None
        else DocumentPage(page_id, number, "failed", None, "IMAGE_DECODE_FAILED", "the image is damaged")
        for number, (page_id, found) in enumerate(zip(ids, pages, strict=True), start=1)
    ]
    return Document(name, tuple(ends), *original)


def original(path, body):
    """What reads a file, and its size when it was read."""
    path.write_bytes(body)
    return path.read_bytes, len(body)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def with_turn(page_quads, size, angle_deg):
    """Quads of an upright page of a size, as they lie when its content is turned clockwise."""
    width, height = size
    turns = {
        0: lambda x, y: [x, y],
        90: lambda x, y: [height - y, x],
        180: lambda x, y: [width - x, height - y],
        270: lambda x, y: [y, width - x],
    }
    return [[turns[angle_deg](x, y) for x, y in quad] for quad in page_quads]
