"""The sample pages: reproducible, and their truth lies where the ink is."""

import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image

from benchmarks.quad_match import quad_iou
from benchmarks.sample_pages.degrade import damage_quad
from benchmarks.sample_pages.documents import DEFAULT_KINDS, DOCUMENTS
from benchmarks.sample_pages.fonts import FAMILIES, font_file
from benchmarks.sample_pages.generate import draw_page, main, write_pages
from benchmarks.sample_pages.plan import plan_pages
from benchmarks.sample_pages.records import Damage

pytestmark = pytest.mark.unit

UNHARMED = Damage(jpeg_quality=None)


def decode(body):
    return np.asarray(Image.open(io.BytesIO(body)).convert("L"), dtype=np.float32)


def plan(kind, index=0, seed=3, *, dense=False, **damage):
    drawn = plan_pages(index + 1, seed, [kind], dense=dense)[index]
    return dataclasses.replace(drawn, damage=dataclasses.replace(UNHARMED, **damage))


def crop(pixels, quad):
    (x0, y0), (x1, y1) = np.min(quad, axis=0), np.max(quad, axis=0)
    return pixels[max(0, int(y0)) : int(np.ceil(y1)), max(0, int(x0)) : int(np.ceil(x1))]


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_processes(tmp_path):
    plans = plan_pages(12, 7, ["note", "receipt"])
    write_pages(plans, tmp_path / "alone", workers=1)
    write_pages(plans, tmp_path / "shared", workers=2)
    assert files_of(tmp_path / "alone") == files_of(tmp_path / "shared")


def test_another_seed_gives_another_page():
    assert draw_page(plan("note", seed=1)) != draw_page(plan("note", seed=2))


def test_a_longer_set_begins_with_the_shorter_one():
    assert plan_pages(60, 7, DEFAULT_KINDS)[:20] == plan_pages(20, 7, DEFAULT_KINDS)


def test_a_quarter_of_the_pages_is_turned_and_each_angle_occurs():
    turns = [p.damage.turn_deg for p in plan_pages(48, 7, DEFAULT_KINDS)]
    assert {angle: turns.count(angle) for angle in (0, 90, 180, 270)} == {0: 36, 90: 4, 180: 4, 270: 4}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_every_line_lies_inside_the_page_and_encloses_ink(kind):
    for index in range(2):
        for damage in ({}, {"skew_deg": 2.0}, {"skew_deg": -2.0, "turn_deg": 270}):
            body, truth = draw_page(plan(kind, index, **damage))
            pixels = decode(body)
            assert pixels.shape == (truth.height_px, truth.width_px)
            for line in truth.lines:
                assert np.min(line.quad) >= 0, line
                assert np.all(np.max(line.quad, axis=0) <= (truth.width_px, truth.height_px)), line
                assert np.ptp(crop(pixels, line.quad)) > 60, line


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_no_text_touches_another(kind):
    for dense in (False, True):
        for index in range(3):
            quads = [line.quad for line in draw_page(plan(kind, index, dense=dense))[1].lines]
            overlaps = [quad_iou(a, b) for i, a in enumerate(quads) for b in quads[:i]]
            assert max(overlaps) < 0.02


def test_the_quad_of_a_line_holds_all_its_ink():
    body, truth = draw_page(plan("note"))
    pixels = decode(body).copy()
    paper = pixels[0, 0]
    for line in truth.lines:
        crop(pixels, line.quad)[:] = paper
    assert np.all(pixels == paper)


@pytest.mark.parametrize(("turn_deg", "quarter_turns"), [(90, -1), (180, 2), (270, 1)])
def test_a_turned_page_is_the_upright_page_turned_truth_and_all(turn_deg, quarter_turns):
    body, upright = draw_page(plan("receipt", skew_deg=1.5))
    turned_body, turned = draw_page(plan("receipt", skew_deg=1.5, turn_deg=turn_deg))
    np.testing.assert_array_equal(decode(turned_body), np.rot90(decode(body), quarter_turns))
    mapped = [
        damage_quad(line.quad, Damage(turn_deg=turn_deg), upright.width_px, upright.height_px) for line in upright.lines
    ]
    np.testing.assert_allclose([line.quad for line in turned.lines], mapped)
    assert [line.text for line in turned.lines] == [line.text for line in upright.lines]
    assert (upright.orientation_deg, turned.orientation_deg) == (0, turn_deg)


@pytest.mark.parametrize(
    ("turn_deg", "first_corner"), [(0, (10, 20)), (90, (180, 10)), (180, (90, 180)), (270, (20, 90))]
)
def test_the_first_corner_is_where_the_text_begins(turn_deg, first_corner):
    quad = ((10.0, 20.0), (50.0, 20.0), (50.0, 30.0), (10.0, 30.0))
    turned = damage_quad(quad, Damage(turn_deg=turn_deg), 100, 200)
    assert turned[0] == first_corner
    reading = np.subtract(turned[1], turned[0])
    downwards = np.subtract(turned[3], turned[0])
    assert reading[0] * downwards[1] - reading[1] * downwards[0] > 0


def test_skew_turns_clockwise_as_seen():
    quad = ((100.0, 100.0), (180.0, 100.0), (180.0, 110.0), (100.0, 110.0))
    skewed = damage_quad(quad, Damage(skew_deg=2), 200, 200)
    assert skewed[1][1] > skewed[0][1]


def test_dense_pages_hold_about_170_words():
    drawn = [draw_page(p)[1] for p in plan_pages(10, 7, DEFAULT_KINDS, dense=True)]
    words = [sum(len(line.text.split()) for line in page.lines) for page in drawn]
    assert 150 <= sum(words) / len(words) <= 190


def test_scale_multiplies_every_length():
    small, large = (draw_page(plan_pages(1, 7, ["note"], scale=scale)[0])[1] for scale in (1, 2))
    assert (large.width_px, large.height_px) == (2 * small.width_px, 2 * small.height_px)
    assert [line.text for line in large.lines] == [line.text for line in small.lines]


def test_the_command_writes_pages_and_truth_and_replaces_an_earlier_set(tmp_path):
    (tmp_path / "mine.txt").write_text("not a sample page")
    command = [str(tmp_path), "--kinds", "note", "--workers", "1"]
    assert main([*command, "--pages", "8"]) == 0
    assert main([*command, "--pages", "6"]) == 0
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert {path.name for path in tmp_path.iterdir()} == {*truth, "truth.json", "mine.txt"}
    assert len(truth) == 6
    for name, page in truth.items():
        with Image.open(tmp_path / name) as image:
            assert image.size == (page["width_px"], page["height_px"])


@pytest.mark.parametrize("arguments", [{"count": 0}, {"scale": 0.0}, {"kinds": []}])
def test_a_set_that_cannot_be_drawn_is_refused(arguments):
    with pytest.raises(ValueError, match="need at least one page"):
        plan_pages(**{"count": 1, "seed": 7, "kinds": ["note"], **arguments})


@pytest.mark.parametrize("family", FAMILIES)
def test_every_font_is_there_in_every_style(family):
    assert all(font_file(family, style).is_file() for style in ("regular", "bold", "italic"))
