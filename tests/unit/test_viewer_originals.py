"""Images are found by page id, and nothing outside INPUT ever is."""

import io
import os
from contextlib import closing

import pytest
from made_documents import drawn, pdf_of, tiff_of
from PIL import Image
from quintet_client.input.page_ids import page_id_of
from quintet_client.viewer.originals import NoPictureError, Original, Originals


def test_an_image_is_found_by_its_page_id(tmp_path):
    name = "a/100% of it\n.png"
    (tmp_path / "a").mkdir()
    (tmp_path / name).write_bytes(b"image")
    found = Originals([tmp_path]).find(page_id_of(name))
    assert (found.read(), found.page) == (b"image", 0)


def test_a_name_too_long_to_be_read_out_of_its_id_is_found_too(tmp_path):
    name = "x" * 240 + ".png"
    (tmp_path / name).write_bytes(b"image")
    assert Originals([tmp_path]).find(page_id_of(name)).path == tmp_path / name


def test_a_page_of_a_document_is_the_document_and_its_number(tmp_path):
    (tmp_path / "scan.tiff").write_bytes(b"pages")
    (tmp_path / "scan.tiff#12").write_bytes(b"a file of that very name")
    originals = Originals([tmp_path])
    assert originals.find("scan.tiff#12") == Original(tmp_path / "scan.tiff", 12)
    assert originals.find(page_id_of("scan.tiff#12")) == Original(tmp_path / "scan.tiff#12")


def test_pages_of_documents_are_rendered_and_what_cannot_be_is_a_reason(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf_of([drawn("one"), drawn("two", (200, 100))]))
    (tmp_path / "a.tif").write_bytes(tiff_of([drawn("one"), drawn("two", (200, 100))]))
    (tmp_path / "b.pdf").write_bytes(b"no document")
    with closing(Originals([tmp_path])) as originals:
        for page_id in ("a.pdf#2", "a.tif#2", "a.tif#2"):
            assert Image.open(io.BytesIO(originals.picture(page_id, 72))).size == (200, 100)
        (tmp_path / "a.pdf").write_bytes(pdf_of([drawn("one"), drawn("another", (60, 50))]))
        assert Image.open(io.BytesIO(originals.picture("a.pdf#2", 72))).size == (60, 50)
        for page_id, reason in (("b.pdf#1", "no document"), ("a.pdf#3", "cannot be rendered"), ("a.tif#3", "missing")):
            with pytest.raises(NoPictureError, match=reason):
                originals.picture(page_id)


@pytest.mark.parametrize(
    "page_id", ["%2E%2E/secret.png", "%2Fetc/passwd", "../secret.png", "/etc/passwd", "a%00.png", ""]
)
def test_a_name_that_leads_out_of_input_is_refused(tmp_path, page_id):
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "in").mkdir()
    with pytest.raises(NoPictureError):
        Originals([tmp_path / "in"]).find(page_id)


def test_a_link_that_leads_out_of_input_is_refused_and_one_within_is_followed(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (folder / "page.png").write_bytes(b"page")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "within.png").symlink_to(folder / "page.png")
    originals = Originals([folder])
    for name in ("out.png", "loop.png"):
        with pytest.raises(NoPictureError):
            originals.find(name)
    assert originals.find("within.png").read() == b"page"


def test_what_is_no_regular_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(NoPictureError, match="no longer in INPUT"):
        Originals([tmp_path]).find("pipe.png")


def test_the_files_of_a_list_are_found_wherever_it_names_them(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "page.png").write_bytes(b"image")
    (tmp_path / "lists").mkdir()
    listed = tmp_path / "lists" / "list.txt"
    listed.write_text("../far/page.png\n")
    originals = Originals([listed])
    assert originals.find("%2E%2E/far/page.png").read() == b"image"
    with pytest.raises(NoPictureError):
        originals.find("%2E%2E/far/other.png")


def test_a_single_file_is_found(tmp_path):
    (tmp_path / "page.png").write_bytes(b"image")
    assert Originals([tmp_path / "page.png"]).find("page.png").read() == b"image"


@pytest.mark.parametrize(("place", "reason"), [(None, "--input"), ("gone", "--input")])
def test_without_input_the_reason_says_what_to_do(tmp_path, place, reason):
    originals = Originals([tmp_path / place] if place else [])
    with pytest.raises(NoPictureError, match=reason):
        originals.find("page.png")


def test_of_two_inputs_the_later_one_counts_and_one_that_is_gone_is_passed_over(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "page.png").write_bytes(name.encode())
    (tmp_path / "first" / "old.png").write_bytes(b"old")
    originals = Originals([tmp_path / "first", tmp_path / "gone", tmp_path / "second"])
    assert originals.find("page.png").read() == b"second"
    assert originals.find("old.png").read() == b"old"
