"""INPUT with shards and manifests on this machine: what they hold, under which ids, and what hostile ones may do."""

import gzip
import logging
import os
import subprocess
import sys
import tarfile
from contextlib import closing

import pyarrow as pa
import pytest
from quintet_client.errors import UsageError
from quintet_client.input.bodies import Bodies
from quintet_client.input.shards import parquet
from quintet_client.input.shards.tar import members
from quintet_client.input.sources import find_sources
from quintet_client.input.stores.copies import Copies
from quintet_client.service.page import USUAL_LIMITS

from tests.unit.documents.made_documents import drawn, pdf_of
from tests.unit.input.made_shards import HF_IMAGE, header, images_parquet, parquet_of, tar_of

BLOCK = 512


def put(folder, name, content):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def read(input_path):
    """All that INPUT holds, by ids: bytes, or the code of a failure."""
    sources = find_sources(input_path)
    with closing(Bodies(72, USUAL_LIMITS, Copies())) as bodies:
        pages = bodies.read(sources)
    assert [page.page_id for page in pages] == [source.page_id for source in sources]
    assert len(set(sources)) == len({source.page_id for source in sources})
    assert all(
        page.stamp == source.stamp
        for page, source in zip(pages, sources, strict=True)
        if page.code != "UNREADABLE_FILE"
    )
    return {page.page_id: page.code or page.body for page in pages}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_images_of_a_tar_are_read_under_its_name_and_their_keys_beside_files(tmp_path, form):
    long = "/".join(["folder" * 10] * 3) + "/scan.png"
    shard = tar_of(
        [
            ("./000001.jpg", b"one"),
            ("000001.json", b"{}"),
            ("000001.txt", b"words"),
            ("sub/000002.left.png", b"left"),
            ("sub/000002.right.png", b"right"),
            ("sub", None),
            (long, b"long"),
            ("._000001.jpg", b"of a Mac"),
            ("../out.webp", b"out"),
            ("empty.bmp", b""),
        ],
        form,
    )
    put(tmp_path, "part/00000.tar", shard)
    put(tmp_path, "part/page.jpg", b"file")
    assert read(tmp_path) == {
        "part/00000/000001": b"one",
        "part/00000/sub/000002.left.png": b"left",
        "part/00000/sub/000002.right.png": b"right",
        f"part/00000/{long.removesuffix('.png')}": b"long",
        "part/00000/%2E%2E/out": b"out",
        "part/00000/empty": b"",
        "part/page.jpg": b"file",
    }
    assert "00000/000001" in read(tmp_path / "part/00000.tar")


def test_of_members_with_one_name_the_last_counts_and_what_is_no_regular_file_is_counted_in_the_log(tmp_path, caplog):
    tar = put(tmp_path, "a.tar", tar_of([("x.jpg", b"first"), ("x.jpg", b"second"), ("folder", None)]))
    with tarfile.open(tar, "a") as opened:
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(link)
    with caplog.at_level(logging.INFO):
        assert read(tar) == {"a/x": b"second"}
    assert f"left out of INPUT: 1 not_regular ({tar}/link.jpg), 1 repeated ({tar}/x.jpg)" in caplog.text


def test_a_document_in_a_tar_has_its_extension_in_its_id_and_is_rendered(tmp_path):
    put(tmp_path, "a.tar", tar_of([("x.pdf", pdf_of([drawn("one", (120, 160))]))]))
    (document,) = find_sources(tmp_path)
    assert (document.page_id, document.is_pdf) == ("a/x.pdf", True)
    with closing(Bodies(72, USUAL_LIMITS, Copies(str(tmp_path)))) as bodies:
        (page,) = bodies.read([document._replace(page_id="a/x.pdf#1", page=1)])
        assert page.body.startswith(b"\xff\xd8")
        assert page.stamp == document.stamp
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_a_shard_that_has_changed_has_other_stamps_and_its_old_places_are_not_read(tmp_path):
    tar = put(tmp_path, "a.tar", tar_of([("x.jpg", b"one"), ("y.jpg", b"two")]))
    before = find_sources(tar)
    assert find_sources(tar) == before
    put(tmp_path, "a.tar", tar_of([("w.jpg", b"new"), ("x.jpg", b"one"), ("y.jpg", b"two")]))
    os.utime(tar, ns=(0, 1))
    with closing(Bodies(72, USUAL_LIMITS, Copies())) as bodies:
        pages = bodies.read(before)
    assert {(page.code, page.body, page.stamp.size_bytes) for page in pages} == {("UNREADABLE_FILE", b"", -1)}
    after = {source.page_id: source.stamp for source in find_sources(tar)}
    assert all(after[source.page_id] != source.stamp for source in before)


GOOD = tar_of([("good.jpg", b"good")])[: 2 * BLOCK]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"no tar" * 1000, "no header at byte 0"),
        (gzip.compress(GOOD), "packed with gzip"),
        (GOOD + header("liar.jpg", 10**9), "which end beyond the tar's end"),
        (GOOD + header("liar.jpg", 2**62), "which end beyond the tar's end"),
        (GOOD + header("x", 2 * 1024**2, b"x") + bytes(2 * 1024**2), "bytes of headers"),
        (GOOD + header("x", 2**40, b"L"), "bytes of headers"),
        (GOOD + header("x", 19, b"x") + b"19 path=hidden.jpg\n".ljust(BLOCK, b"\0"), ""),
        (GOOD + (header("x", 1, b"x") + bytes(BLOCK)) * 5000, "bytes of headers"),
        (GOOD + header("x", 600, b"L")[:BLOCK] + b"cut", "it ends within the header"),
        (GOOD + b"cut off", "it ends within the header"),
    ],
    ids=range(11),
)
def test_a_hostile_tar_fails_by_name_and_what_came_before_is_read(tmp_path, content, words):
    tar = put(tmp_path, "a.tar", content)
    sources = find_sources(tar)
    good = content.startswith(GOOD)
    assert [source.page_id for source in sources] == ["a.tar"][: bool(words)] + ["a/good"][:good]
    if words:
        assert (sources[0].code, words in sources[0].message) == ("SHARD_DAMAGED", True), sources[0].message
        assert read(tar)["a.tar"] == "SHARD_DAMAGED"


def test_sparse_members_and_sizes_that_pax_tells_are_passed_over_as_tarfile_does(tmp_path):
    map_block = bytearray(header("sparse.jpg", BLOCK, b"S"))
    map_block[482] = 1  # another block of the map follows
    map_block[148:156] = b" " * 8
    map_block[148:156] = b"%06o\0 " % sum(map_block)
    old_sparse = bytes(map_block) + bytes(BLOCK) + b"data".ljust(BLOCK, b"\0")
    new_sparse = header("x", 22, b"x") + b"22 GNU.sparse.major=1\n".ljust(BLOCK, b"\0") + header("s.jpg", 0)
    tar = put(tmp_path, "a.tar", old_sparse + new_sparse + GOOD + bytes(2 * BLOCK))
    assert read(tar) == {"a/good": b"good"}
    with tarfile.open(tar) as opened:
        assert [member.name for member in opened][-1] == "good.jpg"


def test_what_is_kept_of_a_tar_are_its_images_alone(tmp_path):
    code = (
        "import re, sys; from pathlib import Path; from quintet_client.input.shards.listing import list_shards\n"
        "from quintet_client.input.source import Source\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "before = peak(); (listed,) = list_shards([Source('a.tar', sys.argv[1])])\n"
        "print(len(listed.items), peak() - before)"
    )
    text, image = header("words.txt", 0), header("page.jpg", 0)
    put(tmp_path, "a.tar", (text * 1000 + image) * 100)
    arguments = [sys.executable, "-c", code, str(tmp_path / "a.tar")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60)
    count, grown_kb = map(int, done.stdout.split())
    assert count == 1
    assert grown_kb < 8_000, "of 50 MB"


@pytest.mark.parametrize("name", ["a.tar.gz", "A.TGZ"])
def test_a_compressed_tar_fails_by_name(tmp_path, name):
    put(tmp_path, name, gzip.compress(GOOD))
    put(tmp_path, "b.jpg", b"file")
    assert read(tmp_path) == {name: "SHARD_UNSUPPORTED", "b.jpg": b"file"}


def test_offsets_that_are_asked_for_only_grow_and_all_members_of_tarfile_are_found():
    content = tar_of([(f"{'d' * (number % 200)}/{number}.jpg", b"x" * number) for number in range(300)])
    asked = []

    def take(offset, length):
        asked.append(offset)
        return content[offset : offset + length]

    found = {member.name.decode(): content[member.offset :][: member.length] for member in members(take, len(content))}
    assert asked == sorted(asked)
    assert found == {f"{'d' * (number % 200)}/{number}.jpg": b"x" * number for number in range(300)}


@pytest.mark.parametrize(
    ("columns", "ids"),
    [
        ({"image": pa.array([{"bytes": b"a"}, None, {"bytes": b"c"}], type=HF_IMAGE)}, "012"),
        ({"jpg": [b"a", b"", b"c"], "caption": ["x", "y", "z"], "key": ["k1", "k2", "k3"]}, ["k1", "k2", "k3"]),
        ({"content": [b"a", None, b"c"], "id": [7, 8, 9]}, "789"),
        ({"png": [b"a", b"", b"c"], "name": ["cat", "dog", "cat"]}, "012"),
        ({"bytes": [b"a", b"", b"c"], "__key__": ["u/v", "u/../v", "#"]}, ["u/v", "u/%2E%2E/v", "#"]),
    ],
)
@pytest.mark.parametrize("rows", [1, 100])
def test_images_in_rows_are_read_under_the_files_name_and_their_ids(tmp_path, columns, ids, rows):
    put(tmp_path, "data/0.parquet", parquet_of(columns, row_group_size=rows))
    assert read(tmp_path) == dict(zip((f"data/0.parquet/{each}" for each in ids), (b"a", b"", b"c"), strict=True))


def test_neighbouring_rows_read_their_row_group_once_and_one_that_is_too_large_is_refused(tmp_path, monkeypatch):
    file = put(tmp_path, "a.parquet", images_parquet([b"%d" % row for row in range(40)], row_group_size=10))
    groups = []
    images_of = parquet._images_of

    def counted(path, group):
        groups.append(group)
        return images_of(path, group)

    monkeypatch.setattr(parquet, "_images_of", counted)
    assert read(file)["a.parquet/25"] == b"25"
    assert groups == [0, 1, 2, 3]
    monkeypatch.setattr(parquet, "MOST_GROUP_BYTES", 50)
    assert set(read(file).values()) == {"ROW_GROUP_TOO_LARGE"}


def test_a_manifest_names_files_by_paths_and_addresses_with_ids_of_its_own_or_without(tmp_path):
    put(tmp_path, "in/a.jpg", b"a")
    put(tmp_path, "other/b c.jpg", b"b")
    uris = ["a.jpg", "./a.jpg", str(tmp_path / "in/a.jpg"), f"file://{tmp_path}/other/b%20c.jpg", "missing.png"]
    plain = put(tmp_path, "in/plain.parquet", parquet_of({"uri": uris}))
    elsewhere = "%2F" + str(tmp_path)[1:] + "/other/b c.jpg"
    assert read(plain) == {"a.jpg": b"a", elsewhere: b"b", "missing.png": "UNREADABLE_FILE"}
    named = put(tmp_path, "in/named.parquet", parquet_of({"uri": uris[:2] + uris[3:4], "id": ["x/1", "../2", None]}))
    assert read(named) == {"x/1": b"a", "%2E%2E/2": b"a", elsewhere: b"b"}
    assert read(tmp_path) == {"in/a.jpg": b"a", "other/b c.jpg": b"b"} | read(named) | {
        "in/missing.png": "UNREADABLE_FILE"
    }


def test_a_manifest_may_name_documents_and_shards_but_no_other_manifest(tmp_path):
    put(tmp_path, "s.tar", GOOD + bytes(2 * BLOCK))
    put(tmp_path, "x.pdf", pdf_of([drawn("one", (120, 160))]))
    manifest = put(tmp_path, "m.parquet", parquet_of({"uri": ["s.tar", "x.pdf"], "id": ["shard", "letter"]}))
    assert [source.page_id for source in find_sources(manifest)] == ["letter.pdf", "shard/good"]
    put(tmp_path, "n.parquet", parquet_of({"uri": ["m.parquet"]}))
    with pytest.raises(UsageError, match="another manifest names it"):
        find_sources(tmp_path / "n.parquet")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"uri": ["a.jpg", "b.jpg"], "id": ["x", "x"]}, "gives the id x to"),
        ({"uri": ["a.jpg", None]}, "row 1 has no uri"),
        ({"uri": ["http://host/a.jpg"]}, "addresses begin with"),
        ({"a": [b"1"], "b": [b"2"], "c": [3]}, r"2 columns of bytes \(of a \(binary\), b \(binary\), c \(int64\)\)"),
        ({"url": ["a.jpg"]}, r"no column of bytes and none of text named uri \(of url \(string\)\)"),
    ],
)
def test_a_parquet_file_that_nobody_could_read_rightly_is_refused_in_words(tmp_path, columns, words):
    with pytest.raises(UsageError, match=words):
        find_sources(put(tmp_path, "a.parquet", parquet_of(columns)))


def test_in_a_folder_parquet_files_without_images_are_left_out_and_damaged_ones_fail(tmp_path, caplog):
    put(tmp_path, "00000.tar", GOOD + bytes(2 * BLOCK))
    put(tmp_path, "00000.parquet", parquet_of({"url": ["a"], "key": ["good"]}))
    put(tmp_path, "part.parquet", parquet_of({"page_id": ["a"], "state": ["ok"], "code": [""], "result": [b"{}"]}))
    put(tmp_path, "damaged.parquet", images_parquet([b"a"])[:-20])
    put(tmp_path, "empty.parquet", b"")
    (tmp_path / "pipe.tar").symlink_to("nowhere")
    with caplog.at_level(logging.INFO):
        assert read(tmp_path) == {
            "00000/good": b"good",
            "damaged.parquet": "SHARD_DAMAGED",
            "empty.parquet": "SHARD_DAMAGED",
            "pipe.tar": "UNREADABLE_FILE",
        }
    assert "2 no_images (" in caplog.text
    assert "00000.parquet" in caplog.text
    assert "part.parquet" in caplog.text


def test_two_items_with_one_id_are_refused(tmp_path):
    put(tmp_path, "a.tar", GOOD + bytes(2 * BLOCK))
    put(tmp_path, "a.TAR", tar_of([("good.png", b"other")]))
    with pytest.raises(UsageError, match="the id a/good would be given"):
        find_sources(tmp_path)


def test_pages_that_are_damaged_on_their_way_fail_alone(tmp_path):
    body = bytearray(images_parquet([b"a" * 1000, b"b" * 1000], row_group_size=1, compression="snappy"))
    body[4:40] = bytes(36)  # the first row group's pages
    assert read(put(tmp_path, "a.parquet", bytes(body))) == {"a.parquet/0": "SHARD_DAMAGED", "a.parquet/1": b"b" * 1000}


def test_the_row_group_read_last_is_let_go_of(tmp_path):
    sources = find_sources(put(tmp_path, "a.parquet", images_parquet([bytes(1 << 20)])))
    before = pa.total_allocated_bytes()
    bodies = Bodies(72, USUAL_LIMITS, Copies())
    assert len(bodies.read(sources)[0].body) == 1 << 20
    assert pa.total_allocated_bytes() > before
    bodies.close()
    assert pa.total_allocated_bytes() == before


def test_without_pyarrow_a_parquet_file_ends_with_words(tmp_path):
    put(tmp_path, "a.parquet", images_parquet([b"a"]))
    code = (
        "import sys; sys.modules['pyarrow'] = None; from pathlib import Path\n"
        "from quintet_client.input.sources import find_sources\n"
        "from quintet_client.errors import UsageError\n"
        "try: find_sources(Path(sys.argv[1]))\n"
        "except UsageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "pip install 'quintet[stores]'" in done.stdout
