"""The chain beside RapidAI's own packages: same weights, same pages, same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from quintet.errors import Failure
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings
from quintet.stages.text_detection import canvas_sizes
from quintet.tensors.records import Raster
from quintet.tensors.text_quads import text_quads
from rapid_layout import RapidLayout
from rapidocr import RapidOCR
from rapidocr.ch_ppocr_det.utils import DBPostProcess

from benchmarks.quad_match import match_quads, share_covered
from benchmarks.score import PageLines, load_truth, read_answer, score_run
from tests.chain.test_chain import results
from tests.conftest import receipt_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def receipts() -> list[Path]:
    return sorted(receipt_folder().glob("*.jpg"))


@pytest.fixture(scope="module")
def read_receipts(chain: PageChain, receipts: list[Path]) -> list[dict[str, Any]]:
    outcomes = chain([path.read_bytes() for path in receipts])
    return [outcome for outcome in outcomes if not isinstance(outcome, Failure)]


def test_real_receipts_are_read_at_least_as_well_as_rapidocr_reads_them(
    receipts: list[Path], read_receipts: list[dict[str, Any]], record_property: pytest.RecordProperty
) -> None:
    truth = load_truth(receipt_folder() / "truth.json")
    ours = {path.name: read_answer(result) for path, result in zip(receipts, read_receipts, strict=True)}
    peer = RapidOCR(params={"Global.log_level": "critical"})
    theirs = {path.name: _peer_lines(peer(str(path))) for path in receipts}
    ours_f1, theirs_f1 = score_run(truth, ours).f1, score_run(truth, theirs).f1
    record_property("word_f1", {"quintet": ours_f1, "rapidocr": theirs_f1})
    print(f"word F1 on {len(receipts)} receipts: Quintet {ours_f1:.4f}, RapidOCR {theirs_f1:.4f}")  # noqa: T201 - for -s
    assert ours_f1 >= theirs_f1


def _peer_lines(answer: Any) -> PageLines:
    """RapidOCR's answer as the score wants it."""
    quads = [[[float(x), float(y)] for x, y in box] for box in (answer.boxes if answer.boxes is not None else [])]
    lines = [{"text": text, "quad_px": quad} for text, quad in zip(answer.txts or [], quads, strict=True)]
    return read_answer({"lines": lines, "orientation": {"angle_deg": 0}})


def test_boxes_agree_with_rapidocrs_on_the_same_probability_maps(chain: PageChain, receipts: list[Path]) -> None:
    maps = [_probability_map(chain, path) for path in receipts]
    counts = torch.tensor([a_map.numel() for a_map in maps])
    heights, widths = (torch.tensor([a_map.shape[axis] for a_map in maps]) for axis in (0, 1))
    together = Raster(torch.cat([a_map.reshape(-1) for a_map in maps]), counts.cumsum(0) - counts, heights, widths)
    found = text_quads(together, threshold=0.3, box_threshold=0.5, unclip_ratio=1.6)
    reference = DBPostProcess(thresh=0.3, box_thresh=0.5, unclip_ratio=1.6, use_dilation=True)
    covered = {"ours": 0.0, "theirs": 0.0}
    total = {"ours": 0, "theirs": 0}
    for number, a_map in enumerate(maps):
        limits = torch.tensor([a_map.shape[1], a_map.shape[0]])
        ours = found.quads_px[found.page == number].clamp(min=0).minimum(limits).tolist()
        boxes, _ = reference(a_map.numpy()[None, None], tuple(a_map.shape))
        theirs = (np.asarray(boxes, dtype=float).reshape(-1, 4, 2) + 0.5).tolist()
        covered["theirs"] += share_covered(theirs, ours, 0.7) * len(theirs)
        covered["ours"] += share_covered(ours, theirs, 0.7) * len(ours)
        total["ours"] += len(ours)
        total["theirs"] += len(theirs)
    assert total["theirs"] > 1000
    shares = {side: covered[side] / total[side] for side in total}
    print(f"boxes with a partner at IoU 0.7: {shares} of {total}")  # noqa: T201 - for -s
    assert min(shares.values()) >= 0.99


def _probability_map(chain: PageChain, path: Path) -> torch.Tensor:
    """The detection network's map of one page, (H, W)."""
    image = cv2.imread(str(path))
    width, height = canvas_sizes(torch.tensor([[image.shape[1], image.shape[0]]]), Settings(), 1280)[0].tolist()
    pixels = cv2.resize(image, (width, height)).transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
    (probabilities,) = chain.engine.network("text_detection")(torch.from_numpy(pixels))
    return probabilities[0, 0]


def test_layout_agrees_with_rapid_layout(receipts: list[Path], read_receipts: list[dict[str, Any]]) -> None:
    peer = RapidLayout()
    matched = expected = found = 0
    for path, result in zip(receipts, read_receipts, strict=True):
        theirs = peer(cv2.imread(str(path)))
        pairs = match_quads(
            [_corners(box) for box in theirs.boxes], [_corners(r["box_px"]) for r in result["regions"]], 0.9
        )
        matched += sum(theirs.class_names[a] == result["regions"][b]["label"] for a, b, _ in pairs)
        expected += len(theirs.boxes)
        found += len(result["regions"])
    print(f"layout: {matched} regions agree of RapidLayout's {expected} and our {found}")  # noqa: T201 - for -s
    assert matched >= 0.9 * max(expected, found)


def _corners(box: list[float]) -> list[list[float]]:
    x0, y0, x1, y1 = box
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def test_turned_receipts_are_recognised_as_turned(
    chain: PageChain, receipts: list[Path], read_receipts: list[dict[str, Any]]
) -> None:
    assert [result["orientation"]["angle_deg"] for result in read_receipts] == [0] * len(receipts)
    codes = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    for turn_deg, code in codes.items():
        found = results(chain([cv2.imencode(".png", cv2.rotate(_small(path), code))[1].tobytes() for path in receipts]))
        assert [result["orientation"]["angle_deg"] for result in found] == [turn_deg] * len(receipts)


def _small(path: Path) -> np.ndarray:
    """A receipt with 300 pixels on its short side: its orientation is told at 256, and its text need not be read."""
    image = cv2.imread(str(path))
    scale = 300 / min(image.shape[:2])
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
