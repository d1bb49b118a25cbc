"""A redacted photo: nothing of faces, text and metadata is left, and everything else is as it was."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, PngImagePlugin
from quintet_client.errors import PageError
from quintet_client.exports.documents import Document, DocumentPage, ExportError
from quintet_client.exports.photos.photo import photo_of
from quintet_client.exports.photos.redacted import hide, render
from quintet_client.output.formats import PHOTO_SCHEMA

from tests.unit.exports.made_results import encoded, original

SIZE = (320, 240)
FACE = (100.5, 60.0, 148.2, 124.9)
MOUTH = [[110, 80], [138, 80], [124, 95], [112, 110], [136, 110]]
SIGN = [[30, 200], [120, 170], [127, 191], [37, 221]]  # slanted
FAR = 20  # further than any margin here


def photo_answer(size=SIZE, faces=(FACE,), texts=(SIGN,)):
    return {
        "schema": PHOTO_SCHEMA,
        "model": "made-up",
        "width_px": size[0],
        "height_px": size[1],
        "nudity": 0.02,
        "faces": [{"box_px": list(box), "score": 0.99, "points_px": MOUTH} for box in faces],
        "texts": [{"quad_px": quad} for quad in texts],
    }


def textured(size=SIZE, seed=0) -> Image.Image:
    """A picture that is unlike itself everywhere: noise over a slope of light."""
    slope = np.linspace(40, 120, size[0])[None, :, None]
    noise = np.random.default_rng(seed).integers(0, 100, (size[1], size[0], 3))
    return Image.fromarray((slope + noise).astype(np.uint8))


def redacted(folder, body, answer, name="a.png") -> bytes:
    page = DocumentPage(name, 1, "ok", schema=PHOTO_SCHEMA, answer=json.dumps(answer).encode())
    return render(Document(name, (page,), *original(folder / name, body)))


def pixels(image: Image.Image | bytes) -> np.ndarray:
    opened = Image.open(io.BytesIO(image)) if isinstance(image, bytes) else image
    return np.asarray(opened.convert("RGB")).astype(float)


def mask_of(draw) -> np.ndarray:
    mask = Image.new("1", SIZE)
    draw(ImageDraw.Draw(mask))
    return np.asarray(mask)


IN_FACE = mask_of(lambda pen: pen.rectangle(FACE, fill=1))
IN_SIGN = mask_of(lambda pen: pen.polygon([tuple(point) for point in SIGN], fill=1))


def near(mask: np.ndarray) -> np.ndarray:
    """A mask and what lies within `FAR` of it."""
    return np.asarray(Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(2 * FAR + 1))) > 0


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    if min(first.std(), second.std()) < 1e-9:
        return 0.0
    return abs(float(np.corrcoef(first.ravel(), second.ravel())[0, 1]))


def test_what_is_in_faces_and_texts_is_gone_and_all_else_is_as_it_was(tmp_path):
    picture = textured()
    before, after = pixels(picture), pixels(redacted(tmp_path, encoded(picture, "PNG"), photo_answer()))
    for hidden in (IN_FACE, IN_SIGN):
        detail = before[hidden] - before[hidden].mean(0)
        assert correlation(detail, after[hidden]) < 0.15
        assert np.abs(before[hidden] - after[hidden]).mean() > 15
    assert len(np.unique(after[IN_SIGN], axis=0)) == 1
    kept = ~near(IN_FACE | IN_SIGN)
    assert kept.mean() > 0.5
    assert np.array_equal(before[kept], after[kept])


def test_a_slanted_text_takes_no_more_than_itself_and_a_margin(tmp_path):
    picture = textured()
    after = pixels(redacted(tmp_path, encoded(picture, "PNG"), photo_answer(faces=())))
    changed = (after != pixels(picture)).any(2)
    assert changed[IN_SIGN].mean() > 0.99
    assert not changed[210:, 90:].any()  # in the box around it, but not in it
    assert not changed[:180, :60].any()
    assert changed.sum() < 2 * IN_SIGN.sum()


def test_of_a_face_nothing_is_left_but_sixteen_mean_colours(tmp_path):
    """Shuffling the pixels of each cell changes nothing beyond rounding: no order of them survives."""
    box = (80, 40, 160, 120)  # grown by a quarter: 120 x 120, cells of 30
    picture = textured(seed=1)
    shuffled = np.asarray(picture).copy()
    random = np.random.default_rng(2)
    for x in range(60, 180, 30):
        for y in range(20, 140, 30):
            cell = shuffled[y : y + 30, x : x + 30].reshape(-1, 3)
            shuffled[y : y + 30, x : x + 30] = random.permutation(cell).reshape(30, 30, 3)
    answer = photo_answer(faces=(box,), texts=())
    made = [pixels(redacted(tmp_path, encoded(image, "PNG"), answer)) for image in (picture, Image.fromarray(shuffled))]
    assert np.abs(made[0] - made[1]).max() <= 2
    assert correlation(np.asarray(picture)[20:140, 60:180].astype(float), shuffled[20:140, 60:180]) < 0.5


def test_a_photo_turned_by_exif_comes_out_upright_without_a_word_of_metadata(tmp_path):
    upright = textured(SIZE)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "CameraMaker"  # shown turned right
    exif.get_ifd(0x8825)[1] = "N"
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    options = {
        "quality": 95,
        "exif": exif,
        "comment": b"CommentOfMine",
        "icc_profile": b"ProfileOfMine",
        "dpi": (300, 300),
    }
    body = encoded(stored, "JPEG", **options)
    made = redacted(tmp_path, body, photo_answer(), "a.jpg")
    found = Image.open(io.BytesIO(made))
    assert (found.format, found.size) == ("JPEG", SIZE)
    assert not found.getexif()
    assert set(found.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    for word in (b"Exif", b"CameraMaker", b"OfMine", b"ICC_PROFILE", b"http://ns.adobe"):
        assert word not in made
    before, after = pixels(upright), pixels(made)
    assert correlation(before[IN_FACE] - before[IN_FACE].mean(0), after[IN_FACE]) < 0.15
    kept = ~near(IN_FACE | IN_SIGN)
    assert correlation(before[kept].mean(1), after[kept].mean(1)) > 0.95  # JPEG halves the resolution of colours


def test_a_png_loses_its_words_and_what_was_transparent(tmp_path):
    secret = textured(seed=3)
    secret.putalpha(0)
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "NameOfMine")
    made = redacted(tmp_path, encoded(secret, "PNG", pnginfo=info), photo_answer(faces=(), texts=()))
    found = Image.open(io.BytesIO(made))
    assert (found.format, found.mode, found.info) == ("PNG", "RGB", {})
    assert (pixels(found) == 255).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "AVIF"])
def test_each_format_stays_what_it_was(tmp_path, form):
    made = Image.open(io.BytesIO(redacted(tmp_path, encoded(textured(), form), photo_answer())))
    assert (made.format, made.size) == (form, SIZE)


def test_what_cannot_be_written_in_its_own_format_is_said(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    target = io.BytesIO()
    pillow_heif.from_pillow(textured().convert("RGB")).save(target)
    with pytest.raises(ExportError, match="HEIF cannot be written"):
        redacted(tmp_path, target.getvalue(), photo_answer())


NUMBER = st.floats(-400, 800, allow_nan=False)
QUAD = st.lists(st.tuples(NUMBER, NUMBER), min_size=4, max_size=4)
BOX = st.tuples(NUMBER, NUMBER, NUMBER, NUMBER)


@given(st.lists(BOX, max_size=3), st.lists(QUAD, max_size=3))
@settings(max_examples=60)
def test_boxes_and_quads_may_lie_anyhow(boxes, quads):
    picture = textured()
    hide(picture, photo_of(photo_answer(faces=boxes, texts=quads)))
    before, after = pixels(textured()), pixels(picture)
    for x0, y0, x1, y1 in boxes:
        inside = np.s_[max(0, math.ceil(y0)) : max(0, math.floor(y1)), max(0, math.ceil(x0)) : max(0, math.floor(x1))]
        if before[inside].size >= 3 * 64 and min(before[inside].shape[:2]) >= 8:
            assert correlation(before[inside] - before[inside].mean(0), after[inside]) < 0.7


@pytest.mark.parametrize(
    "change",
    [
        {"width_px": None},
        {"nudity": {"score": 0.02}},
        {"faces": [{"box_px": [0, 1, 2], "score": 1, "points_px": MOUTH}]},
        {"faces": [{"box_px": [0, 1, 2, 1e999], "score": 1, "points_px": MOUTH}]},
        {"faces": [{"box_px": [0, 1, 2, 3], "score": True, "points_px": MOUTH}]},
        {"texts": [{"quad_px": SIGN[:3]}]},
        {"texts": {"quad_px": SIGN}},
    ],
)
def test_a_result_that_is_not_as_documented_is_a_typed_error(change):
    with pytest.raises(PageError, match="BAD_ANSWER"):
        photo_of(photo_answer() | change)


def test_a_photo_that_cannot_be_redacted_is_said(tmp_path):
    body = encoded(textured(), "PNG")
    for size in ((160, 120), SIZE[::-1]):
        with pytest.raises(ExportError, match="read it again"):
            redacted(tmp_path, body, photo_answer(size))
    with pytest.raises(ExportError, match="read it again"):
        redacted(tmp_path, body[: len(body) // 2], photo_answer())
    answer = json.dumps(photo_answer()).encode()
    pages = [DocumentPage(f"a.pdf#{number}", number, "ok", answer=answer) for number in (1, 2)]
    with pytest.raises(ExportError, match="several pages"):
        render(Document("a.pdf", tuple(pages), *original(tmp_path / "a.pdf", b"%PDF-")))
    with pytest.raises(ExportError, match="--input"):
        render(Document("a.png", (DocumentPage("a.png", 1, "ok", answer=answer),)))
