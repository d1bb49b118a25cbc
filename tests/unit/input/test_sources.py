"""What INPUT holds: folders of any depth, links that go round, and results of reading that are no input."""

import logging
import os
import subprocess

import pytest
from quintet_client.input.own_pdfs import marked
from quintet_client.input.regular_files import stamp_of
from quintet_client.input.sources import find_sources
from quintet_client.output.folder import Output
from quintet_client.output.ledger import Ledger


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"page")


def ids(folder, output=None):
    return [source.page_id for source in find_sources(folder, output=output)]


def results_of_a_run(folder):
    """An OUTPUT as `quintet read` leaves it, with an export that could be read again."""
    put(folder, "exports/pdf/a.jpg.pdf", "pages/a.jpg.json")
    with Ledger.open(Output(folder).ledger):
        pass
    return folder


@pytest.fixture
def deep_folder(tmp_path):
    """1,100 folders within each other, each with a page: deeper than a path reaches. pytest could not remove them."""
    root = tmp_path / "in"
    root.mkdir()
    here = os.open(root, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("ddd", dir_fd=here)
        below = os.open("ddd", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
        os.close(os.open("page.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)
    yield root
    subprocess.run(["rm", "-rf", root], check=True)


def test_a_folder_is_listed_as_deep_as_a_path_reaches_and_what_lies_deeper_fails_by_name(deep_folder):
    found = find_sources(deep_folder)
    *listed, beyond = sorted(found, key=lambda source: len(source.path))
    assert len(listed) >= (4096 - len(str(deep_folder))) // 4 - 2 > 950
    assert 4096 - len("ddd/") <= len(beyond.path) < 4096 + len("/page.jpg")
    assert [source.page_id for source in found] == sorted(source.page_id for source in found)


def test_a_chain_of_links_that_the_system_refuses_fails_by_name(tmp_path):
    (tmp_path / "0").mkdir()
    for number in range(1500):
        (tmp_path / str(number + 1)).symlink_to(str(number))
    put(tmp_path, "0/page.jpg")
    (tmp_path / "list.txt").write_text("1500/page.jpg\n")
    assert ids(tmp_path / "list.txt") == ["1500/page.jpg"]
    assert "0/page.jpg" in ids(tmp_path)


def test_folders_that_link_to_each_other_give_each_page_once(tmp_path, caplog):
    names = [f"f{number}" for number in range(8)]
    put(tmp_path, *(f"{name}/page.jpg" for name in names))
    for name in names:
        for other in names:
            (tmp_path / name / f"to-{other}").symlink_to(f"../{other}")
    with caplog.at_level(logging.INFO):
        assert ids(tmp_path) == [f"{name}/page.jpg" for name in names]
    assert "64 folder_read_anyway" in caplog.text


def test_a_folder_keeps_its_own_name_whatever_links_lead_to_it(tmp_path):
    put(tmp_path, "in/real/page.jpg", "far/below/page.jpg")
    for name in ("a-link", "z-link"):
        (tmp_path / "in" / name).symlink_to("real")
        (tmp_path / "in" / f"{name}-out").symlink_to(tmp_path / "far")
    assert ids(tmp_path / "in") == ["a-link-out/below/page.jpg", "real/page.jpg"]


@pytest.mark.parametrize("place", ["out", "deep/er/out", "."])
def test_what_reading_wrote_below_input_is_left_out_and_named(tmp_path, caplog, place):
    put(tmp_path, "page.jpg", "deep/page.jpg", "pages/page.jpg" if place != "." else "other/page.jpg")
    output = results_of_a_run(tmp_path / place)
    with caplog.at_level(logging.INFO):
        found = ids(tmp_path, output)
    assert "exports/pdf/a.jpg.pdf" not in str(found)
    assert len(found) == 3
    assert os.path.relpath(output / "exports", tmp_path) in caplog.text


def test_results_of_another_run_are_left_out_too_and_those_whose_ledger_is_gone(tmp_path):
    put(tmp_path, "page.jpg")
    results_of_a_run(tmp_path / "earlier")
    output = results_of_a_run(tmp_path / "out")
    output.joinpath("ledger.sqlite").unlink()
    assert ids(tmp_path, output) == ["page.jpg"]


def test_no_link_leads_into_the_results(tmp_path):
    put(tmp_path, "in/page.jpg")
    output = results_of_a_run(tmp_path / "out")
    (tmp_path / "in" / "out").symlink_to(output)
    (tmp_path / "in" / "exports").symlink_to(output / "exports")
    (tmp_path / "in" / "deeper").symlink_to(output / "exports" / "pdf")
    assert ids(tmp_path / "in", output) == ["page.jpg"]


def test_a_list_that_names_results_goes_without_them(tmp_path, caplog):
    put(tmp_path, "page.jpg")
    output = results_of_a_run(tmp_path / "out")
    (tmp_path / "link").symlink_to(output / "exports" / "pdf")
    names = [
        "page.jpg",
        "nul\0/page.jpg",
        "out/exports/pdf/a.jpg.pdf",
        "link/a.jpg.pdf",
        f"{output}/exports/pdf/a.jpg.pdf",
    ]
    (tmp_path / "list.txt").write_text("\n".join(names))
    with caplog.at_level(logging.INFO):
        assert ids(tmp_path / "list.txt", output) == ["nul%00/page.jpg", "page.jpg"]
    assert "out/exports" in caplog.text


def test_searchable_pdfs_beside_their_originals_are_left_out_and_named_wherever_they_are_listed(tmp_path, caplog):
    put(tmp_path, "letter.pdf", "sub/scan.png", "others.ocr.pdf", "short.ocr.pdf")
    (tmp_path / "short.ocr.pdf").write_bytes(b"")
    ours = marked(b"%PDF-1.7\n%\xbf\xf7\xa2\xfe\n")
    for name in ("letter.ocr.pdf", "sub/scan.png.OCR.PDF", "renamed.pdf"):
        (tmp_path / name).write_bytes(ours)
    os.mkfifo(tmp_path / "pipe.ocr.pdf")
    kept = ["letter.pdf", "others.ocr.pdf", "pipe.ocr.pdf", "renamed.pdf", "short.ocr.pdf", "sub/scan.png"]
    with caplog.at_level(logging.INFO):
        assert ids(tmp_path) == kept
        assert "letter.ocr.pdf" in caplog.text
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    (tmp_path / "list.txt").write_text("\n".join([*names, "missing.ocr.pdf"]))
    assert ids(tmp_path / "list.txt") == sorted([*kept, "missing.ocr.pdf"])


def test_a_folder_that_cannot_be_listed_is_one_input_that_fails_by_name(tmp_path):
    put(tmp_path, "page.jpg")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / ("n" * 255)).mkdir()
    assert ids(tmp_path) == ["page.jpg"]
    assert stamp_of(str(tmp_path / "missing")) == (-1, -1)
