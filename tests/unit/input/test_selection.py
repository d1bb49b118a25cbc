"""Which files are read: patterns, hidden names, first bytes, and what is left out counted by reason."""

import os

import pytest
from quintet.pixels.formats import FORMATS
from quintet_client.errors import UsageError
from quintet_client.input.finding.left_out import LeftOut, Reason
from quintet_client.input.finding.selection import Selection
from quintet_client.input.page_ids import document_of, page_id_in, page_id_of, path_of, with_extension
from quintet_client.input.sources import find_sources

from tests.conftest import encode
from tests.heif import heif_of
from tests.unit.documents.made_documents import drawn, pdf_of, tiff_of
from tests.unit.input.made_shards import images_parquet, tar_of


def put(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def found(place, **selected):
    """The ids that are read, and the counts of what is not."""
    left_out = LeftOut()
    sources = find_sources(place, Selection(**selected), left_out=left_out)
    return [source.page_id for source in sources], left_out.counts


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("*.jpg", ["a.jpg", "b/c/a.jpg", "x.jpg/inner.png"], ["a.JPG", "a.jpg2", "a.png"]),
        ("drafts", ["drafts", "drafts/a.png", "b/drafts/c/a.png"], ["drafts2/a.png", "my-drafts/a.png"]),
        ("drafts/", ["drafts/a.png", "b/drafts/a.png"], ["drafts", "b/drafts"]),
        ("2024/*.pdf", ["2024/a.pdf"], ["b/2024/a.pdf", "2024/b/a.pdf"]),
        ("./2024/*.pdf", ["2024/a.pdf"], ["b/2024/a.pdf"]),
        ("/a.png", ["a.png"], ["b/a.png"]),
        ("**/raw/*.png", ["raw/a.png", "b/c/raw/a.png"], ["raw/b/a.png"]),
        ("2024/**", ["2024/a.png", "2024/b/c.png"], ["2024", "b/2024/a.png"]),
        ("2024/**/a.png", ["2024/a.png", "2024/b/c/a.png"], ["2024/b.png"]),
        ("page?.png", ["page1.png"], ["page10.png", "page.png", "page/.png"]),
        ("page[0-9].png", ["page1.png"], ["pagex.png"]),
        ("page[!0-9].png", ["pagex.png"], ["page1.png", "page/.png"]),
        ("[]a].png", ["].png", "a.png"], ["b.png"]),
        ("a+(b).png", ["a+(b).png"], ["aab.png"]),
        ("[.png", ["[.png"], ["a.png"]),
    ],
)
def test_patterns_are_those_of_gitignore(pattern, matches, others):
    chosen = Selection(include=(pattern,))
    assert [path for path in [*matches, *others] if chosen.excludes(path) is None] == matches
    left = Selection(exclude=(pattern,))
    assert [path for path in [*matches, *others] if left.excludes(path)] == matches


@pytest.mark.parametrize("pattern", ["", "/", "./", "[z-a]"])
def test_what_is_no_pattern_is_refused(pattern):
    for option in ("include", "exclude"):
        with pytest.raises(UsageError, match=f"--{option} is"):
            Selection(**{option: (pattern,)})


def test_exclude_has_the_last_word_and_a_folder_that_it_matches_counts_once(tmp_path):
    put(tmp_path, dict.fromkeys(("a.jpg", "b.png", "drafts/a.jpg", "drafts/b.jpg", "in/drafts.jpg"), b"page"))
    assert found(tmp_path, include=("*.jpg",), exclude=("drafts",)) == (["a.jpg", "in/drafts.jpg"], {"excluded": 2})


def test_hidden_files_and_those_of_macos_are_read_when_asked_for(tmp_path):
    names = ("page.jpg", ".page.jpg", "._page.jpg", ".git/a.jpg", "__MACOSX/._page.jpg", "deep/._b.jpg")
    put(tmp_path, {**dict.fromkeys(names, b"page"), ".DS_Store": b"Bud1", "Thumbs.db": b"litter"})
    usual = {"hidden": 3, "apple_double": 3, "other_format": 1}
    assert found(tmp_path) == (["page.jpg"], usual)
    assert found(tmp_path, hidden=True) == (sorted(names), {"other_format": 2})
    (tmp_path / ".in").mkdir()
    put(tmp_path / ".in", {"a.jpg": b"page"})
    assert found(tmp_path / ".in") == (["a.jpg"], {})


def test_a_file_that_is_named_is_read_hidden_or_not(tmp_path):
    put(tmp_path, {".page.jpg": b"page", "._b.xyz": b"page", "list.txt": b".page.jpg\n./.page.jpg\n._b.xyz\nc.png\n"})
    assert found(tmp_path / ".page.jpg") == ([".page.jpg"], {})
    assert found(tmp_path / "list.txt") == (["._b.xyz", ".page.jpg", "c.png"], {"repeated": 1})
    narrow = {"include": (".page.*", "c.*"), "exclude": ("*.png",)}
    assert found(tmp_path / "list.txt", **narrow) == ([".page.jpg"], {"excluded": 2, "repeated": 1})


def images():
    """The first bytes of all formats, in files without an extension."""
    page = drawn("a", (40, 30), "RGB")
    return {form.lower(): heif_of(page) if form == "HEIF" else encode(page, form) for form in FORMATS if form != "TIFF"}


def test_files_without_an_extension_are_known_by_their_first_bytes(tmp_path):
    put(tmp_path, images() | {"letter": pdf_of([drawn("a")]), "fax": tiff_of([drawn("a")]), "dot.": encode(drawn("a"))})
    others = {"LICENSE": b"words", "empty": b"", "bitmap": b"BMW and others", "shard": tar_of([("a.jpg", b"page")])}
    put(tmp_path, others)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nowhere")
    known = sorted([*images(), "letter%.pdf", "fax%.tif", "dot."])
    assert found(tmp_path) == (known, {"other_format": 4, "not_regular": 1, "unreadable": 2})
    kinds = {source.page_id: (source.is_pdf, source.is_tiff) for source in find_sources(tmp_path)}
    assert (kinds["letter%.pdf"], kinds["fax%.tif"], kinds["png"]) == ((True, False), (False, True), (False, False))
    assert found(tmp_path / "letter") == (["letter%.pdf"], {})


@pytest.mark.parametrize("name", ["letter", "a/b", "x" * 250, "50%", "a.b/c", "letter%.pdf"])
def test_the_id_of_a_document_without_an_extension_is_its_own_and_leads_back(name):
    page_id = with_extension(page_id_of(name), ".pdf")
    assert page_id not in {page_id_of(name), page_id_of(f"{name}.pdf"), page_id_of(f"{name}%.pdf")}
    assert document_of(page_id_in(page_id, 12)) == page_id
    if len(name) < 200:
        assert path_of(page_id) == name


def test_members_of_tars_are_chosen_as_if_the_tar_were_a_folder(tmp_path):
    members = ["a.jpg", "a.png", "b.png", ".c.jpg", "._a.jpg", "__MACOSX/x.jpg", "a.json", "deep/.d/e.jpg"]
    put(tmp_path, {"in/x.tar": tar_of([(name, b"page") for name in members]), "b.png": b"page"})
    usual = {"hidden": 2, "apple_double": 2, "other_format": 1}
    assert found(tmp_path) == (["b.png", "in/x/a.jpg", "in/x/a.png", "in/x/b"], usual)
    assert found(tmp_path, include=("*.jpg",)) == (["in/x/a.jpg"], usual | {"excluded": 3})
    assert found(tmp_path, include=("in/x.tar/b.*",)) == (["in/x/b"], usual | {"excluded": 3})
    assert found(tmp_path, include=("*.tar",))[0] == ["in/x/a.jpg", "in/x/a.png", "in/x/b"]
    assert found(tmp_path, exclude=("x.tar",)) == (["b.png"], {"excluded": 1})
    hidden, counts = found(tmp_path, hidden=True)
    assert counts == {"other_format": 1}
    items = [".c", "._a", "__MACOSX/x", "a.jpg", "a.png", "b", "deep/.d/e"]
    assert sorted(hidden) == sorted(["b.png", *(f"in/x/{item}" for item in items)])


def test_rows_of_parquet_files_and_files_of_manifests_are_chosen_by_their_ids(tmp_path):
    put(tmp_path, {"x.parquet": images_parquet([b"page"] * 3, ids=["one", "two", "three"])})
    assert found(tmp_path, include=("t*",)) == (["x.parquet/two", "x.parquet/three"], {"excluded": 1})


@pytest.mark.parametrize("kind", ["folder", "list", "tar", "excluded"])
def test_nothing_to_read_is_an_error_that_counts_what_was_left_out(tmp_path, kind):
    files = {"folder": {"in/a.doc": b"words", "in/.a.jpg": b"page"}, "list": {"in.txt": b"\n\n"}}
    files |= {"tar": {"in.tar": tar_of([("a.txt", b"words")])}, "excluded": {"in/a.jpg": b"page"}}
    put(tmp_path, files[kind])
    (place,) = tmp_path.iterdir()
    told = {"folder": r"left out: 1 hidden \(.*\), 1 other_format", "list": "in.txt has no image, PDF or shard$"}
    told |= {"tar": r"left out: 1 other_format \(.*in.tar/a.txt", "excluded": "left out: 1 excluded"}
    with pytest.raises(UsageError, match=f"nothing to read: .*{told[kind]}"):
        find_sources(place, Selection(exclude=("*.jpg",)))


def test_the_log_names_a_few_of_many():
    left_out, other = LeftOut(), LeftOut()
    for number in range(4):
        left_out.add(Reason.HIDDEN, f".{number}")
        other.add(Reason.HIDDEN, f".{number + 4}")
    other.add(Reason.EXCLUDED, "a.jpg")
    left_out.merge(other)
    assert str(left_out) == "8 hidden (.0, .1, .2, .3, .4 and 3 more), 1 excluded (a.jpg)"
