"""Page ids: safe below OUTPUT, distinct for distinct paths, and reversible."""

import os
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet_client.input.page_ids import MAX_COMPONENT_BYTES, page_id_in, page_id_of, page_place, path_of

# Any bytes a file system can give: everything but NUL.
paths = st.binary(min_size=1, max_size=60).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"/")))
# Files that are called like pages of documents, and documents beside them.
numbered = st.lists(
    st.sampled_from(["x", ".pdf", ".TIF", ".tiff", "#", "1", "2", "0", "/", "%23", "%2323", ".png", "y" * 200]),
    min_size=1,
).map("".join)
dotted = st.lists(st.sampled_from(["..", ".", "", "a", "a.json", "%2E%2E", "~", "\n"]), min_size=1).map("/".join)


def folded(path):
    """The path without what does not matter: empty and "." components."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ("/" if path.startswith("/") else "") + "/".join(parts) or "."


@given(paths | dotted)
def test_an_id_never_leaves_output_and_is_clean_text(path):
    page_id = page_id_of(path)
    target = f"/out/pages/{page_id}.json"
    assert posixpath.normpath(target) == target
    assert page_id.encode().decode() == page_id
    assert page_id.isprintable() or not any(sign in page_id for sign in "\0\n\r\t\x1b\x85\u2028")


@given(paths | dotted | numbered.filter(lambda path: len(path) < 200))
def test_an_id_can_be_turned_back_into_its_path(path):
    assert path_of(page_id_of(path)) == folded(path)


@given(paths | dotted | numbered, paths | dotted | numbered)
def test_distinct_paths_have_distinct_ids(one, other):
    assert (page_id_of(one) == page_id_of(other)) == (folded(one) == folded(other))


@given(paths | numbered, paths | numbered, st.integers(1, 10**7))
def test_pages_of_documents_and_files_of_any_name_have_distinct_ids(one, other, number):
    page_id = page_id_in(page_id_of(one), number)
    assert page_id != page_id_of(other)
    assert page_place(page_id_of(other)) == (page_id_of(other), 1), "no file's own id is a page of another's"


@given(paths.map(lambda name: name + ".pdf") | numbered.map(lambda name: name + ".TIFF"), st.integers(1, 10**7))
def test_a_page_of_a_document_is_placed_in_it(path, number):
    page_id = page_id_in(page_id_of(path), number)
    assert page_place(page_id) == (page_id_of(path), number)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=300, max_size=400))
def test_long_names_are_shortened_to_fit_and_stay_distinct(name):
    ids = {page_id_of(name + ".jpg"), page_id_of(name + ".png")}
    assert len(ids) == 2
    assert all(len(page_id.encode()) <= MAX_COMPONENT_BYTES for page_id in ids)


@pytest.mark.parametrize(
    ("path", "page_id"),
    [
        ("scans/page 1.jpg", "scans/page 1.jpg"),
        ("../secret.jpg", "%2E%2E/secret.jpg"),
        ("/etc/x.png", "%2Fetc/x.png"),
        ("./a//b.jpg", "a/b.jpg"),
        ("50%.jpg", "50%25.jpg"),
        ("a.json/b.jpg", "a%2Ejson/b.jpg"),
        ("données/été.jpg", "données/été.jpg"),
        (os.fsdecode(b"caf\xe9.jpg"), "caf%E9.jpg"),
        ("x.pdf#2", "x.pdf%232"),
        ("x.PDF#2/y.tif#10", "x.PDF#2/y.tif%2310"),
        ("a#1.png", "a#1.png"),
        ("x.pdf#0", "x.pdf#0"),
    ],
)
def test_examples(path, page_id):
    assert page_id_of(path) == page_id
