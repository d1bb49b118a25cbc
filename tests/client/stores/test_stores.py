"""`quintet read` of addresses, against moto's S3 and a scripted service: as from a folder, and what a store may do."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.client.exports.exporting import SIZE, exported, two_words, write_images
from tests.client.reading import answers, assert_adds_up, once_workers_load, read, report, rows, write_pages
from tests.client.scripted_server import ScriptedServer, page_answer
from tests.client.stores.s3 import BUCKET, KEY_ID, SECRET, quintet
from tests.unit.documents.made_documents import drawn, pdf_of, tiff_of
from tests.unit.input.made_shards import images_parquet, parquet_of, tar_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

ADDRESS = f"s3://{BUCKET}/scans"
DPI = PIXEL_BY_PIXEL = ("--dpi", "72")


def read_address(store, address, output, url, *options):
    """Run the command as a process of its own, two loaders; gives its exit code and what it said."""
    code, said = quintet(store, "read", address, output, "--server", url, "--loaders", 2, *options)
    for secret in (KEY_ID, SECRET):
        assert [path for path in output.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()] == []
    return code, said


def export_in(store, output, *options):
    command = [sys.executable, "-m", "quintet_client.cli", "export", output, "--to", "pdf", *options]
    done = subprocess.run(list(map(str, command)), env=store.environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


def without_request(documents):
    return {page_id: json.loads(answer) | {"request_id": ""} for page_id, answer in documents.items()}


def test_two_hundred_images_give_what_the_folder_gives_and_again_only_what_has_changed(store, folder, output, tmp_path):
    pages = write_pages(folder, 200)
    store.put_folder(folder, "scans")
    store.put("scanner/other.jpg", b"no part of it")
    with ScriptedServer() as server:
        assert read(folder, tmp_path / "from-folder", server.url) == 0
        server.script = once_workers_load()
        assert read_address(store, ADDRESS, output, server.url)[0] == 0
        assert without_request(answers(output)) == without_request(answers(tmp_path / "from-folder"))
        assert set(answers(output)) == set(pages)
        assert store.gets == {f"scans/{name}": 1 for name in pages}
        assert report(output)["settings"]["input_path"] == ADDRESS

        store.gets.clear()
        assert read_address(store, ADDRESS + "/", output, server.url)[0] == 0
        assert store.gets == {}
        store.put("scans/part1/page0001.jpg", b"PAGE 1 " * 50)
        assert read_address(store, ADDRESS, output, server.url)[0] == 0
        assert store.gets == {"scans/part1/page0001.jpg": 1}
        assert assert_adds_up(output)["skipped"] == 199

        store.ask("DELETE", f"/{BUCKET}/scans/part1/page0001.jpg")
        assert read_address(store, ADDRESS, output, server.url)[0] == 0
        assert report(output)["vanished"] == 1
        assert read_address(store, ADDRESS, output, server.url, "--prune")[0] == 0
    assert set(answers(output)) == set(pages) - {"part1/page0001.jpg"}


def test_documents_are_copied_for_the_renderer_and_nothing_is_left_of_the_copies(store, folder, output, tmp_path):
    (folder / "a.pdf").write_bytes(pdf_of([drawn(str(number), (120, 160)) for number in range(20)]))
    (folder / "b.tiff").write_bytes(tiff_of([drawn(str(number), (120, 160)) for number in range(3)]))
    (folder / "c.tif").write_bytes(tiff_of([drawn("one", (120, 160))]))
    (folder / "d.pdf").write_bytes(b"no PDF")
    store.put_folder(folder, "scans")
    store.environment["TMPDIR"] = str(tmp_path / "temporary")
    (tmp_path / "temporary").mkdir()
    with ScriptedServer() as server:
        assert read(folder, tmp_path / "from-folder", server.url, *DPI) == 3
        assert read_address(store, ADDRESS, output, server.url, *DPI, "--limit", 5)[0] == 0
        server.script = once_workers_load()
        assert read_address(store, ADDRESS, output, server.url, *DPI)[0] == 3
        assert without_request(answers(output)) == without_request(answers(tmp_path / "from-folder"))
        assert rows(output)["d.pdf"]["code"] == rows(tmp_path / "from-folder")["d.pdf"]["code"] == "DOCUMENT_DAMAGED"
        store.gets.clear()
        assert read_address(store, ADDRESS, output, server.url, *DPI)[0] == 3
        assert set(store.gets) <= {"scans/a.pdf"}, "all but the document that --limit cut are known by their state"
    del store.environment["TMPDIR"]
    assert assert_adds_up(output)["skipped"] == 25
    assert [*(tmp_path / "temporary").iterdir()] == []


def test_one_object_and_addresses_of_a_list_are_read_and_what_is_not_there_fails_by_name(store, output, tmp_path):
    store.put("scans/a b%20.jpg", b"first")
    store.put("more/c.jpg", b"second")
    (tmp_path / "local.jpg").write_bytes(b"third")
    (tmp_path / "list.txt").write_text(
        f"{ADDRESS}/a b%20.jpg\ns3://{BUCKET}/more/c.jpg\ns3://{BUCKET}/more/missing.jpg\nlocal.jpg\n"
        f"file://{tmp_path}/local.jpg\n"
    )
    with ScriptedServer() as server:
        assert read_address(store, f"{ADDRESS}/a b%20.jpg", tmp_path / "one", server.url)[0] == 0
        assert read_address(store, tmp_path / "list.txt", output, server.url)[0] == 3
        assert read_address(store, f"file://{tmp_path}/local.jpg", tmp_path / "file", server.url)[0] == 0
    assert set(answers(tmp_path / "one")) == {"a b%2520.jpg"}
    assert set(answers(tmp_path / "file")) == {"local.jpg"}
    assert set(answers(output)) == {"s3:/bucket/scans/a b%2520.jpg", "s3:/bucket/more/c.jpg", "local.jpg"}
    missing = rows(output)["s3:/bucket/more/missing.jpg"]
    assert (missing["code"], missing["message"]) == ("UNREADABLE_FILE", "there is no such object")


def test_an_object_that_is_too_large_fails_by_its_size_and_is_not_fetched(store, output):
    store.put("scans/large.jpg", bytes(5000))
    store.put("scans/small.jpg", bytes(1000))
    with ScriptedServer() as server:
        server.limits = {
            "max_request_bytes": 9000,
            "max_body_bytes": 4000,
            "max_page_pixels": 10**6,
            "min_page_side_px": 10,
        }
        assert read_address(store, ADDRESS, output, server.url)[0] == 3
    assert rows(output)["large.jpg"]["code"] == "IMAGE_TOO_LARGE"
    assert "5000 bytes" in rows(output)["large.jpg"]["message"]
    assert store.gets == {"scans/small.jpg": 1}


@pytest.mark.parametrize(
    ("address", "status", "code", "words"),
    [
        ("s3://no-such-bucket/scans", 0, 2, "there is no bucket no-such-bucket"),
        (f"s3://{BUCKET}/nothing", 0, 2, "there is no object of that name, and none below it"),
        (ADDRESS, 403, 5, f"s3://{BUCKET} refused the credentials of the environment (status 403)"),
        (ADDRESS, 400, 2, "does not take the request (status 400)"),
        ("az://container/scans", 0, 2, "the environment lacks what az:// needs"),
        (f"s3://{KEY_ID}:{SECRET}@{BUCKET}/scans", 0, 2, "an address has no user, query or fragment"),
        (f"{ADDRESS}?X-Amz-Signature={SECRET}", 0, 2, "an address has no user, query or fragment"),
        (f"https://{KEY_ID}:{SECRET}@host/scans", 0, 2, "addresses begin with s3://, gs://, az://, file://"),
    ],
)
def test_what_cannot_be_listed_ends_the_run_before_it_begins(store, output, address, status, code, words):
    store.fails_with = status
    with ScriptedServer() as server:
        ended, said = read_address(store, address, output, server.url)
    assert (ended, words in " ".join(said.split())) == (code, True), said
    assert not output.exists()


def test_a_store_that_is_busy_for_some_seconds_costs_time_and_no_page(store, folder, output):
    write_pages(folder, 40)
    store.put_folder(folder, "scans")
    listed = []

    def answered(request):
        if not listed:
            listed.append(store.refused)
            store.be_busy(3)
        return page_answer(request)

    with ScriptedServer(answered) as server:
        store.be_busy(3)
        assert read_address(store, ADDRESS, output, server.url, "--batch", 4)[0] == 0
    assert store.refused > listed[0] > 0, "while it was listed, and while it was read"
    assert assert_adds_up(output)["ok"] == 40


def test_formats_that_need_originals_are_made_while_reading_and_later_from_the_store_or_a_copy(
    store, folder, output, tmp_path
):
    write_images(folder, 1)
    (folder / "a.pdf").write_bytes(pdf_of([drawn("a", SIZE)]))
    (folder / "0.tar").write_bytes(tar_of([("x.png", (folder / "part0/page00.png").read_bytes())]))
    (folder / "1.parquet").write_bytes(images_parquet([(folder / "part0/page00.png").read_bytes()]))
    store.put_folder(folder, "scans")
    made = {f"pdf/{name}" for name in ("part0/page00.png.pdf", "a.pdf", "0/x.ocr.pdf", "1.parquet/0.ocr.pdf")}
    with ScriptedServer(two_words) as server:
        assert read_address(store, ADDRESS, output, server.url, "--formats", "pdf", *PIXEL_BY_PIXEL)[0] == 0
        assert set(exported(output)) == made
    later, copy = exported(output), tmp_path / "copy"
    shutil.copytree(output, copy)
    for folder_, words in ((output, ()), (copy, ("--input", folder))):
        shutil.rmtree(folder_ / "exports")
        assert export_in(store, folder_, *words) == 0
        assert exported(folder_) == later
    store.put("scans/part0/page00.png", b"another")
    assert export_in(store, output) == 7, "its size tells"


def test_the_viewer_shows_originals_of_stores_and_of_shards_in_them(store, folder, output):
    write_images(folder, 2)
    body = (folder / "part0/page00.png").read_bytes()
    (folder / "a.pdf").write_bytes(pdf_of([drawn("a", SIZE)]))
    (folder / "0.tar").write_bytes(tar_of([("x.png", body), ("y.pdf", (folder / "a.pdf").read_bytes())]))
    (folder / "1.parquet").write_bytes(images_parquet([body]))
    (folder / "m.parquet").write_bytes(parquet_of({"uri": ["part0/page00.png"], "id": ["named"]}))
    store.put_folder(folder, "scans")
    with ScriptedServer(two_words) as server:
        assert read_address(store, ADDRESS, output, server.url, *PIXEL_BY_PIXEL)[0] == 0
    code = (
        "import sys; from pathlib import Path; from quintet_client.viewer.data.run import Run\n"
        "from quintet_client.viewer.data.pictures import NoPictureError\n"
        "run = Run(Path(sys.argv[1]))\n"
        "for name in sys.argv[2:]:\n"
        "    try: print(len(run.pictures.get(name)))\n"
        "    except NoPictureError as error: print(error)\n"
        "run.close()"
    )
    names = ["part0/page00.png", "0/x", "1.parquet/0", "named", "a.pdf#1", "0/y.pdf#1", "gone.png", "../a.pdf"]
    done = subprocess.run(
        [sys.executable, "-c", code, str(output), *names],
        env=store.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    *sizes, pdf, in_tar, gone, outside = done.stdout.splitlines()
    assert set(sizes) == {str(len(body))}
    assert int(pdf) == int(in_tar) > 0
    assert {gone, outside} == {"the image is no longer in INPUT"}


def test_without_obstore_an_address_ends_with_words_and_a_folder_is_read_as_ever(folder, output):
    write_pages(folder, 3)
    lacking = "import sys; sys.modules['obstore'] = None; from quintet_client.cli import main; sys.exit(main())"
    with ScriptedServer() as server:
        ended = [
            subprocess.run(
                [sys.executable, "-c", lacking, "read", place, str(output), "--server", server.url],
                capture_output=True,
                text=True,
                check=False,
            )
            for place in (ADDRESS, str(folder))
        ]
    assert [done.returncode for done in ended] == [2, 0]
    assert "pip install 'quintet[stores]'" in ended[0].stderr
