"""What of the sample photos lies under what was found, on a case worked out by hand."""

import json

from benchmarks.demo_photos import main

LINE = [[10, 60], [90, 60], [90, 80], [10, 80]]
WORDS = [[[8, 58], [50, 58], [50, 82], [8, 82]], [[50, 58], [92, 58], [92, 82], [50, 82]]]
TRUTH = {"a.jpg": {"width_px": 100, "height_px": 100, "faces": [[10, 10, 30, 40]], "texts": [LINE]}}


def run(folder, texts, redacted=True):
    (folder / "pages").mkdir()
    (folder / "exports" / "redacted").mkdir(parents=True)
    (folder / "truth.json").write_text(json.dumps(TRUTH))
    result = {"faces": [{"box_px": [9.5, 10, 29, 41]}], "texts": [{"quad_px": quad} for quad in texts]}
    (folder / "pages" / "a.jpg.json").write_text(json.dumps(result))
    report = {"inputs": 1, "ok": 1, "failed": 0, "skipped": 0, "pages_per_s": 2.0, "seconds": 0.5}
    (folder / "report.json").write_text(json.dumps(report))
    if redacted:
        (folder / "exports" / "redacted" / "a.jpg").touch()
    return main([str(folder / "truth.json"), str(folder)])


def test_a_text_that_was_found_word_by_word_is_hidden(tmp_path, capsys):
    assert run(tmp_path, WORDS) == 0
    assert "1 of 1 hidden (100.0%)" in capsys.readouterr().out


def test_half_a_text_and_a_photo_that_was_not_redacted_are_shortfalls(tmp_path, capsys):
    assert run(tmp_path, WORDS[:1], redacted=False) == 1
    said = capsys.readouterr().out
    assert "0.0% of the texts are hidden" in said
    assert "0 of 1 photos were redacted" in said
