"""What schemathesis sends as bodies: images, documents and frames, whole and broken. Loaded as its hooks."""

import json

import schemathesis
import yaml
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from PIL import Image
from quintet.frame import frames

from tests.conftest import ROOT, draw_page, encode
from tests.unit.documents.made_documents import encrypted_pdf, pdf_of, tiff_of

DESCRIPTION = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text("utf-8"))
WHOLE = [
    *(encode(draw_page(["Total 12.50"], (320, 160)), form) for form in ("PNG", "JPEG", "TIFF", "WEBP", "BMP")),
    encode(draw_page(["Quintet"], (200, 300), turn_deg=90)),
    encode(Image.new("L", (64, 64), 255)),
]
BROKEN = [b"", encode(Image.new("RGB", (1, 1))), WHOLE[0][:200], WHOLE[1][:400], b"no image at all"]
SHEETS = [draw_page([f"Sheet {number}"], (200, 120)) for number in (1, 2)]
DOCUMENTS = [pdf_of(SHEETS), tiff_of(SHEETS)]
BROKEN_DOCUMENTS = [encrypted_pdf(SHEETS, "a word"), DOCUMENTS[0][:300], DOCUMENTS[1][:30_000]]


def broken_frame(body, position, byte):
    """The same bytes with one of them changed."""
    position %= len(body)
    return body[:position] + bytes([byte]) + body[position + 1 :]


images = st.sampled_from(WHOLE) | st.sampled_from(BROKEN) | st.binary(max_size=200)
whole_frames = st.lists(images, min_size=1, max_size=3).map(frames.pack_pages)
broken_frames = st.builds(broken_frame, whole_frames, st.integers(0, 40), st.integers(0, 255))

documents = st.sampled_from(DOCUMENTS) | st.sampled_from(BROKEN_DOCUMENTS)

schemathesis.openapi.media_type("application/octet-stream", images | documents)
schemathesis.openapi.media_type(frames.MEDIA_TYPE, whole_frames | broken_frames | st.binary(max_size=60))


def request_schema(name):
    """A schema of the description by its name."""
    return Draft202012Validator({**DESCRIPTION, "$ref": f"#/components/schemas/{name}"})


@schemathesis.deserializer(frames.MEDIA_TYPE)
def items_of_a_frame(_context, response):
    """Status and document of each page in an answer."""
    return [{"status": item.status, **json.loads(item.body)} for item in frames.unpack_answers(response.content)]


@schemathesis.check
def each_page_of_a_frame_is_answered_as_if_alone(_context, response, case):
    if response.headers.get("content-type") != [frames.MEDIA_TYPE]:
        return
    answers = frames.unpack_answers(response.content)
    assert len(answers) == len(frames.unpack_pages(case.body))
    for answer in answers:
        assert answer.status in {200, 400, 413}
        request_schema("Page" if answer.status == 200 else "PageError").validate(json.loads(answer.body))
