"""Scores on cases worked out by hand, and what must hold for all of them."""

import json
import random

import cv2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.demo import main as demo_main
from benchmarks.quad_match import match_quads, quad_iou, share_covered
from benchmarks.score import (
    PageLines,
    describe,
    load_results,
    load_truth,
    score_page,
    score_run,
    score_words,
)
from benchmarks.score import main as score_main

pytestmark = pytest.mark.unit

TEXTS = st.lists(st.text(alphabet="ab1 ,.", max_size=12), max_size=8)
SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10]]


def test_words_are_compared_without_case_and_punctuation():
    assert score_words(["Total: 12.50 EUR"], ["total", "12", "50", "eur!"]).f1 == 1


def test_a_word_counts_as_often_as_it_stands_there():
    score = score_words(["a a b"], ["a b b c"])
    assert (score.precision, score.recall) == (2 / 4, 2 / 3)
    assert score.f1 == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))


@pytest.mark.parametrize(("expected", "read", "f1"), [([], [], 1), (["a"], [], 0), ([], ["a"], 0), (["a"], ["b"], 0)])
def test_pages_without_words_are_scored_too(expected, read, f1):
    assert score_words(expected, read).f1 == f1


@given(TEXTS, TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(expected, read, rng):
    shuffled = rng.sample(read, len(read))
    assert score_words(expected, read) == score_words(expected, shuffled)


@given(TEXTS, TEXTS)
def test_swapping_truth_and_reading_swaps_precision_and_recall(expected, read):
    one, other = score_words(expected, read), score_words(read, expected)
    assert (one.precision, one.recall, one.f1) == (other.recall, other.precision, other.f1)


def test_a_missing_page_counts_as_zero_in_the_mean():
    truth = {"a.jpg": PageLines(("one",), (), 90), "b.jpg": PageLines(("two",), (), 0)}
    score = score_run(truth, {"a.jpg": PageLines(("one",), (), 90)})
    assert (score.f1, score.missing, score.orientations_right) == (0.5, ("b.jpg",), (1, 2))
    assert [page.file for page in score.worst(1)] == ["b.jpg"]


def test_an_empty_page_that_was_not_read_is_not_perfect():
    assert score_page("a.jpg", PageLines(()), None).words.f1 == 0
    assert score_page("a.jpg", PageLines(()), PageLines(())).words.f1 == 1


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        (SQUARE, 1),
        (SQUARE[::-1], 1),
        ([[5, 0], [15, 0], [15, 10], [5, 10]], 1 / 3),
        ([[10, 0], [20, 0], [20, 10], [10, 10]], 0),
        ([[2, 2], [4, 2], [4, 4], [2, 4]], 0.04),
        ([[5, 0], [10, 5], [5, 10], [0, 5]], 0.5),
        ([[3, 3]] * 4, 0),
    ],
    ids=["same", "other way round", "half beside", "touching", "inside", "diamond", "without area"],
)
def test_overlaps_worked_out_by_hand(other, iou):
    assert quad_iou(SQUARE, other) == pytest.approx(iou)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_overlap_of_rotated_boxes_agrees_with_opencv(seed):
    rng = random.Random(seed)

    def box():
        centre, size = (rng.uniform(0, 40), rng.uniform(0, 40)), (rng.uniform(5, 80), rng.uniform(5, 30))
        return cv2.boxPoints((centre, size, rng.uniform(-180, 180)))

    a, b = box(), box()
    shared = cv2.intersectConvexConvex(a, b)[0]
    assert quad_iou(a, b) == pytest.approx(shared / (cv2.contourArea(a) + cv2.contourArea(b) - shared), abs=1e-3)


def test_a_quad_is_matched_once_and_to_its_best_partner():
    near = [[1, 0], [11, 0], [11, 10], [1, 10]]
    assert [(i, j) for i, j, _ in match_quads([SQUARE], [near, SQUARE])] == [(0, 1)]
    assert match_quads([SQUARE, SQUARE], [SQUARE])[0][:2] == (0, 0)
    assert len(match_quads([SQUARE, SQUARE], [SQUARE])) == 1
    assert share_covered([SQUARE, SQUARE], [near], 0.7) == 1
    assert share_covered([], [near], 0.7) == 1
    assert share_covered([SQUARE], [], 0.7) == 0


def write_run(folder, text="Total 12.50", angle_deg=90, failed=0):
    """A truth of one page and the folder a client would have written."""
    truth = folder / "truth.json"
    line = {"text": "Total 12.50", "quad": SQUARE}
    truth.write_text(json.dumps({"a.jpg": {"lines": [line], "orientation_deg": 90}}))
    answer = {"lines": [{"text": text, "quad_px": SQUARE}], "orientation": {"angle_deg": angle_deg}}
    (folder / "pages").mkdir()
    (folder / "pages" / "a.jpg.json").write_text(json.dumps(answer))
    report = {"inputs": 1, "ok": 1, "failed": failed, "skipped": 0, "pages_per_s": 2.5, "seconds": 0.4}
    (folder / "report.json").write_text(json.dumps(report))
    return [str(truth), str(folder)]


def test_the_command_prints_its_figures_and_fails_below_the_bar(tmp_path, capsys):
    paths = write_run(tmp_path, text="Total 12.58", angle_deg=0)
    assert score_main(paths) == 0
    assert "0.6667" in capsys.readouterr().out
    assert score_main([*paths, "--min-f1", "0.97"]) == 1
    assert score_main([*paths, "--min-orientation", "0.98"]) == 1
    assert score_main([*paths, "--min-f1", "0.6"]) == 0


def test_truth_without_orientations_is_read_and_says_so(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps({"a.jpg": [{"quad": SQUARE, "text": "one two"}]}))
    truth = load_truth(tmp_path / "truth.json")
    score = score_run(truth, {"a.jpg": PageLines(("two one",), (SQUARE,), 0)})
    assert (score.f1, score.quads_found, score.orientation_accuracy) == (1, 1, None)
    assert "not in the truth" in describe(score)


def test_an_error_in_place_of_a_result_is_a_missing_page(tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.jpg.json").write_text('{"error": {"code": "IMAGE_DECODE_FAILED"}}')
    assert load_results(tmp_path, ["a.jpg", "b.jpg"]) == {}


def test_the_demo_is_content_with_a_good_run(tmp_path, capsys):
    assert demo_main(write_run(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "1 = 1 ok + 0 failed + 0 skipped" in said
    assert "| Total 12.50" in said
    assert "1 of 1 right" in said


@pytest.mark.parametrize("flaw", [{"text": "Tota1 12.50"}, {"angle_deg": 270}, {"failed": 1}])
def test_the_demo_fails_when_a_promise_is_broken(tmp_path, capsys, flaw):
    assert demo_main(write_run(tmp_path, **flaw)) == 1
    assert "NOT GOOD ENOUGH" in capsys.readouterr().out
