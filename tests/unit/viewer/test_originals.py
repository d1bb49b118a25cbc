"""Files are found by the id of their image or document, and nothing outside INPUT ever is."""

import os
from pathlib import Path

import pytest
from quintet_client.input.originals import NoOriginalError, Originals
from quintet_client.input.page_ids import page_id_of
from quintet_client.input.source import Source


def bytes_of(originals, name):
    return originals.read(originals.find(name), 1000)


def test_an_image_is_found_by_its_page_id(tmp_path):
    name = "a/100% of it\n.png"
    (tmp_path / "a").mkdir()
    (tmp_path / name).write_bytes(b"image")
    assert bytes_of(Originals([tmp_path]), page_id_of(name)) == b"image"


def test_a_name_too_long_to_be_read_out_of_its_id_is_found_too(tmp_path):
    name = "x" * 240 + ".png"
    (tmp_path / name).write_bytes(b"image")
    assert Path(Originals([tmp_path]).find(page_id_of(name)).path) == tmp_path / name


@pytest.mark.parametrize(
    "page_id", ["%2E%2E/secret.png", "%2Fetc/passwd", "../secret.png", "/etc/passwd", "a%00.png", "x" * 300, ""]
)
def test_a_name_that_leads_out_of_input_is_refused(tmp_path, page_id):
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "in").mkdir()
    with pytest.raises(NoOriginalError):
        Originals([tmp_path / "in"]).find(page_id)


def test_links_are_followed_wherever_they_lead_as_for_reading(tmp_path):
    folder, far = tmp_path / "in", tmp_path / "far"
    far.mkdir()
    (far / "page.png").write_bytes(b"page")
    folder.mkdir()
    (folder / "out.png").symlink_to(far / "page.png")
    (folder / "below").symlink_to(far)
    (folder / "within.png").symlink_to(folder / "out.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    originals = Originals([folder])
    for name in ("out.png", "below/page.png", "within.png"):
        assert bytes_of(originals, name) == b"page"
    with pytest.raises(NoOriginalError):
        originals.find("loop.png")


def test_a_file_that_is_known_is_not_looked_for(tmp_path):
    known = Source("page.png", str(tmp_path / "elsewhere.png"))
    assert Path(Originals([], [known]).find("page.png").path) == tmp_path / "elsewhere.png"


def test_what_is_no_regular_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(NoOriginalError, match="no longer in INPUT"):
        Originals([tmp_path]).find("pipe.png")


def test_the_files_of_a_list_are_found_wherever_it_names_them(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "page.png").write_bytes(b"image")
    (tmp_path / "lists").mkdir()
    listed = tmp_path / "lists" / "list.txt"
    listed.write_text("../far/page.png\n")
    originals = Originals([listed])
    assert bytes_of(originals, "%2E%2E/far/page.png") == b"image"
    with pytest.raises(NoOriginalError):
        originals.find("%2E%2E/far/other.png")


def test_a_single_file_is_found(tmp_path):
    (tmp_path / "page.png").write_bytes(b"image")
    assert bytes_of(Originals([tmp_path / "page.png"]), "page.png") == b"image"


@pytest.mark.parametrize(("place", "reason"), [(None, "--input"), ("gone", "--input")])
def test_without_input_the_reason_says_what_to_do(tmp_path, place, reason):
    originals = Originals([tmp_path / place] if place else [])
    with pytest.raises(NoOriginalError, match=reason):
        originals.find("page.png")


def test_of_two_inputs_the_later_one_counts_and_one_that_is_gone_is_passed_over(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "page.png").write_bytes(name.encode())
    (tmp_path / "first" / "old.png").write_bytes(b"old")
    originals = Originals([tmp_path / "first", tmp_path / "gone", tmp_path / "second"])
    assert bytes_of(originals, "page.png") == b"second"
    assert bytes_of(originals, "old.png") == b"old"
