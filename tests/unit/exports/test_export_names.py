"""How exports are called: nobody's file has another's name, and none of an earlier name is left behind."""

from __future__ import annotations

import io

import pikepdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet_client.input.own_pdfs import HEAD_BYTES, derived_pdf, is_marked, marked
from quintet_client.input.page_ids import page_id_of
from quintet_client.output.folder import Output
from quintet_client.output.formats import FORMATS

PDF = next(form for form in FORMATS if form.name == "pdf")
# What tells names apart, or makes them alike.
parts = st.sampled_from(["a", ".pdf", ".PDF", ".ocr", ".png", ".tiff", ".v2", "/", "%2E"])
names = st.lists(parts, min_size=1, max_size=5).map("".join).map(page_id_of)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("letter.pdf", "letter.pdf"),
        ("in/Letter.PDF", "in/Letter.PDF"),
        ("report.v2.pdf", "report.v2.pdf"),
        ("letter.pdf.pdf", "letter.pdf.pdf"),
        ("scan.tiff", "scan.tiff.pdf"),
        ("a.jpg", "a.jpg.pdf"),
        ("a.png", "a.png.pdf"),
        ("a.png.pdf", "a.png.pdf.pdf"),
        ("a.png.pdf.pdf", "a.png.pdf.pdf.pdf"),
        ("letter", "letter.ocr.pdf"),
        ("letter.ocr.pdf", "letter.ocr.pdf.pdf"),
        ("shard/000001", "shard/000001.ocr.pdf"),
        ("folder.pdf/a.png", "folder%2Epdf/a.png.pdf"),
    ],
)
def test_a_pdf_keeps_its_name_and_the_pdf_of_an_image_has_it_behind_the_images(name, made):
    assert derived_pdf(name) == made


@given(st.sets(names, min_size=2, max_size=5))
def test_pdfs_of_distinct_files_have_distinct_names_and_are_no_folders_of_each_other(ids):
    made = {derived_pdf(page_id) for page_id in ids}
    assert len(made) == len(ids)
    folders = {name[:place] for name in made for place, sign in enumerate(name) if sign == "/"}
    assert not folders & made


def a_pdf() -> bytes:
    target = io.BytesIO()
    made = pikepdf.new()
    made.add_blank_page()
    made.save(target)
    return target.getvalue()


def exports(folder) -> set[str]:
    return {path.relative_to(folder / "exports/pdf").as_posix() for path in (folder / "exports").rglob("*.*")}


def earlier(folder, *names) -> None:
    """Files as an earlier version left them."""
    (folder / "exports/pdf").mkdir(parents=True)
    for name in names:
        (folder / "exports/pdf" / name).write_bytes(a_pdf())


def test_the_file_of_an_earlier_name_goes_when_the_new_one_is_there(tmp_path):
    earlier(tmp_path, "letter.pdf.pdf", "letter.pdf", "a.png.pdf")
    output = Output(tmp_path)
    for name in ("letter", "letter.pdf", "a.png"):
        output.write_export(PDF, name, marked(a_pdf()))
    assert exports(tmp_path) == {"letter.ocr.pdf", "letter.pdf", "a.png.pdf"}
    assert all(is_marked(path.read_bytes()[:HEAD_BYTES]) for path in (tmp_path / "exports/pdf").iterdir())


def test_the_file_of_an_earlier_name_goes_with_the_page_that_it_shows(tmp_path):
    earlier(tmp_path, "letter.pdf.pdf", "other.pdf.pdf")
    Output(tmp_path).remove_page("letter.pdf#1")
    assert exports(tmp_path) == {"other.pdf.pdf"}


def test_a_new_file_under_anothers_earlier_name_stays(tmp_path):
    output = Output(tmp_path)
    names = ["letter", "letter.pdf", "letter.pdf.pdf"]
    for name in [*names, *reversed(names)]:
        output.write_export(PDF, name, marked(a_pdf()))
    assert exports(tmp_path) == {"letter.ocr.pdf", "letter.pdf", "letter.pdf.pdf"}
    output.remove_exports("letter")
    assert exports(tmp_path) == {"letter.pdf", "letter.pdf.pdf"}
    output.remove_exports("letter.pdf")
    assert exports(tmp_path) == {"letter.pdf.pdf"}
