"""Whatever names come and whatever stands in OUTPUT, nothing outside OUTPUT is written, changed or removed."""

import hashlib
from pathlib import Path

import pytest
from quintet_client.output.files import write_file

from tests.client.reading import answers, assert_adds_up, read, report, rows, write_pages
from tests.client.scripted_server import ScriptedServer

HOSTILE = [
    "../outside/up.jpg",
    "../../../../../../../../tmp/quintet-escaped.jpg",
    "a/../../outside/through.jpg",
    "/etc/hostname",
    "//double/slash.jpg",
    "./././here.jpg",
    "..",
    "../..",
    "a/../b.jpg",
    "%2e%2e/%2e%2e/encoded.jpg",
    "%2E%2E%2Foutside%2Fencoded.jpg",
    "back\\..\\..\\slash.jpg",
    "~/home.jpg",
    "$HOME/variable.jpg",
    "-rf",
    ".lock",
    "ledger.sqlite",
    "pages",
    "a.jpg/../../../outside/file.jpg",
    "name\twith\x1bcontrol.jpg",
    "x" * 300 + ".jpg",
    "CON",
    "page.jpg.json",
    "page.jpg.json/inner.jpg",
]


def snapshot(root):
    """Every path below a folder, with its content and what it links to."""
    return {str(path.relative_to(root)): _what_stands_at(path) for path in sorted(root.rglob("*"))}


def _what_stands_at(path):
    if path.is_symlink():
        return path.readlink()
    return path.read_bytes() if path.is_file() else None


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    (folder / "precious.jpg.json").write_text("precious")
    (folder / "deep" / "precious.jpg.json").write_text("precious")
    return folder


@pytest.mark.parametrize("pack", [1, 16])
def test_names_in_a_list_never_lead_out(tmp_path, outside, pack):
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "list.txt").write_bytes("\n".join(HOSTILE).encode() + b"\n\xff\xfe../bytes.jpg\n")
    (outside / "up.jpg").write_bytes(b"a page that the list names")
    (tmp_path / "work").mkdir()
    before = {path.name for path in tmp_path.iterdir()}, snapshot(outside)
    with ScriptedServer() as server:
        assert read(inside / "list.txt", tmp_path / "work" / "out", server.url, "--pack", pack) in (0, 3)
    assert ({path.name for path in tmp_path.iterdir()}, snapshot(outside)) == before
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"out"}
    assert not Path("/tmp/quintet-escaped.jpg.json").exists()
    counts = assert_adds_up(tmp_path / "work" / "out")
    assert counts["inputs"] == len(rows(tmp_path / "work" / "out"))
    assert counts["ok"] >= 1, "the page that is there is read, under a name below OUTPUT"
    root = (tmp_path / "work" / "out" / "pages").resolve()
    assert all(path.resolve().is_relative_to(root) for path in root.rglob("*"))


@pytest.mark.parametrize(
    ("name", "target", "code"),
    [
        ("pages/part0", ".", 6),
        ("pages/part0/deep", "deep", 6),
        ("pages/part0", "dangling", 6),
        ("pages", ".", 6),
        ("ledger.sqlite", "ledger", 6),
        ("ledger.sqlite-wal", "log", 6),
        (".lock", "lock", 6),
        ("report.json", "precious.jpg.json", 0),
        ("failed.jsonl", "precious.jpg.json", 0),
    ],
)
def test_links_in_output_are_not_followed(tmp_path, outside, name, target, code):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).symlink_to(outside / target)
    write_pages(tmp_path / "in", 3)
    (tmp_path / "in" / "part0" / "deep").mkdir()
    (tmp_path / "in" / "part0" / "deep" / "precious.jpg").write_bytes(b"page")
    before = snapshot(outside)
    with ScriptedServer() as server:
        assert read(tmp_path / "in", out, server.url) == code
    assert snapshot(outside) == before


def test_a_link_where_an_answer_goes_is_replaced_and_its_target_left_alone(tmp_path, outside):
    write_pages(tmp_path / "in", 1)
    answer = tmp_path / "out" / "pages" / "part0" / "page0000.jpg.json"
    answer.parent.mkdir(parents=True)
    answer.symlink_to(outside / "precious.jpg.json")
    with ScriptedServer() as server:
        assert read(tmp_path / "in", tmp_path / "out", server.url) == 0
    assert not answer.is_symlink()
    assert (outside / "precious.jpg.json").read_text() == "precious"


def test_a_link_where_the_unfinished_answer_goes_is_replaced_too(tmp_path, outside):
    partial = tmp_path / f".{hashlib.sha256(b'a.json').hexdigest()[:32]}.partial"
    partial.symlink_to(outside / "precious.jpg.json")
    write_file(tmp_path, "a.json", b"answer")
    assert (tmp_path / "a.json").read_bytes() == b"answer"
    assert not partial.is_symlink()
    assert (outside / "precious.jpg.json").read_text() == "precious"


def test_nothing_is_removed_through_a_link_either(tmp_path, outside):
    write_pages(tmp_path / "in", 1)
    out = tmp_path / "out"
    with ScriptedServer() as server:
        assert read(tmp_path / "in", out, server.url) == 0
        (out / "pages" / "part0" / "page0000.jpg.json").rename(outside / "page0000.jpg.json")
        (out / "pages" / "part0").rmdir()
        (out / "pages" / "part0").symlink_to(outside)
        before = snapshot(outside)
        assert read(tmp_path / "in", out, server.url, "--overwrite") == 6
    assert snapshot(outside) == before


def test_output_itself_may_be_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    write_pages(tmp_path / "in", 3)
    with ScriptedServer() as server:
        assert read(tmp_path / "in", tmp_path / "out", server.url) == 0
    assert len(answers(tmp_path / "elsewhere")) == 3
    assert report(tmp_path / "elsewhere")["ok"] == 3
