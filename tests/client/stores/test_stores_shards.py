"""`quintet read` of shards and manifests in stores: as from this machine, with few requests, whatever a store holds."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.client.reading import answers, assert_adds_up, once_workers_load, read, rows
from tests.client.scripted_server import ScriptedServer
from tests.client.stores.s3 import BUCKET, quintet
from tests.unit.documents.made_documents import drawn, pdf_of, tiff_of
from tests.unit.input.made_shards import header, images_parquet, member, parquet_of, tar_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

ADDRESS = f"s3://{BUCKET}/shards"
DPI = ("--dpi", "72")


def read_address(store, address, output, url, *options):
    return quintet(store, "read", address, output, "--server", url, "--loaders", 2, *options)


def results(output):
    """All answers and failures, but for what differs from run to run."""
    read_pages = {page_id: json.loads(answer) | {"request_id": ""} for page_id, answer in answers(output).items()}
    failed = {page_id: row["code"] for page_id, row in rows(output).items() if row["state"] == "failed"}
    return read_pages | failed


def test_shards_below_a_prefix_give_what_the_folder_gives_and_again_only_what_has_changed(
    store, folder, output, tmp_path
):
    bodies = [b"image %04d " % number * 100 for number in range(100)]
    document = pdf_of([drawn(str(number), (120, 160)) for number in range(3)])
    (folder / "00000.tar").write_bytes(
        tar_of([*((f"{number:06}.jpg", body) for number, body in enumerate(bodies)), ("x.pdf", document)])
    )
    two_pages = tiff_of([drawn("a", (120, 160))] * 2)
    (folder / "00001.tar").write_bytes(member("y.tif", two_pages) + member("z.jpg", b"z") + header("cut.jpg", 10**6))
    (folder / "00002.parquet").write_bytes(images_parquet(bodies, row_group_size=30))
    (folder / "00003.tar.gz").write_bytes(b"packed")
    (folder / "page.jpg").write_bytes(b"page")
    store.put_folder(folder, "shards")
    with ScriptedServer() as server:
        assert read(folder, tmp_path / "from-folder", server.url, *DPI) == 3
        server.script = once_workers_load()
        assert read_address(store, ADDRESS, output, server.url, *DPI)[0] == 3
        assert results(output) == results(tmp_path / "from-folder")
        assert assert_adds_up(output)["inputs"] == 2 * 100 + 3 + 2 + 1 + 1 + 1 + 1
        assert {"00000/000042", "00000/x.pdf#3", "00001/y.tif#1", "00002.parquet/99"} <= set(answers(output))
        assert store.gets["shards/00000.tar"] <= 1 + 2 + 3 + 1, "a listing, two batches, a copy to count and to render"
        assert store.gets["shards/00002.parquet"] <= 2 + 2 * 4 * 3, "a listing, and each row group once a loader"

        store.gets.clear()
        assert read_address(store, ADDRESS, output, server.url, *DPI)[0] == 3
        assert store.gets["shards/00000.tar"] == 1, "its listing alone"
        assert assert_adds_up(output)["skipped"] == 209
        store.put("shards/00000.tar", (folder / "00000.tar").read_bytes() + bytes(512))
        assert read_address(store, ADDRESS, output, server.url, *DPI)[0] == 3
        assert assert_adds_up(output)["skipped"] == 209 - 103


def test_a_manifest_in_a_store_names_keys_beside_it_addresses_and_local_files(store, output, tmp_path):
    store.put("shards/m/a.jpg", b"a")
    store.put("shards/b.pdf", pdf_of([drawn("b", (120, 160))]))
    store.put("else/s.tar", tar_of([("1.jpg", b"1")]))
    (tmp_path / "local.jpg").write_bytes(b"local")
    uris = ["a.jpg", "../b.pdf", f"s3://{BUCKET}/else/s.tar", f"file://{tmp_path}/local.jpg", "missing.jpg"]
    ids = [None, "letter", "tar", "here/it is", None]
    store.put("shards/m/manifest.parquet", parquet_of({"uri": uris, "id": ids}))
    with ScriptedServer() as server:
        assert read_address(store, f"{ADDRESS}/m/manifest.parquet", output, server.url, *DPI)[0] == 3
        assert set(answers(output)) == {"a.jpg", "letter.pdf#1", "tar/1", "here/it is"}
        assert rows(output)["missing.jpg"]["message"] == "there is no such object"
        store.put("shards/m/manifest.parquet", parquet_of({"uri": ["a.jpg", "../../../b.jpg"]}))
        code, said = read_address(store, f"{ADDRESS}/m/manifest.parquet", output, server.url, *DPI)
        assert (code, "leads out of the bucket" in said) == (2, True)


def test_what_vanished_from_shards_is_told_for_one_input_and_never_guessed_for_another(store, folder, output, tmp_path):
    (folder / "a.tar").write_bytes(tar_of([("1.jpg", b"1"), ("2.jpg", b"2")]))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/page.jpg").write_bytes(b"page")
    with ScriptedServer() as server:
        assert read(folder, output, server.url) == 0
        (folder / "a.tar").write_bytes(tar_of([("1.jpg", b"1")]))
        assert read(folder, output, server.url) == 0
        assert assert_adds_up(output)["vanished"] == 1
        assert read(tmp_path / "other", output, server.url, "--prune") == 0
    assert set(answers(output)) == {"a/1", "a/2", "page.jpg"}


def test_two_hundred_documents_in_a_store_are_counted_several_at_a_time(store, output, folder):
    body = pdf_of([drawn("a", (60, 80))])
    for number in range(200):
        (folder / f"{number:03}.pdf").write_bytes(body)
    store.put_folder(folder, "shards")
    shutil.rmtree(folder)
    with ScriptedServer() as server:
        assert read_address(store, ADDRESS, output, server.url, *DPI)[0] == 0
    assert assert_adds_up(output)["ok"] == 200


def test_a_large_tar_in_a_store_is_listed_within_stated_memory(store, tmp_path):
    with (tmp_path / "large.tar").open("wb") as file:
        for number in range(64):
            file.write(header(f"{number}.jpg", 1024 * 1024))
            file.seek(1024 * 1024, 1)
        file.truncate()
    store.put("shards/large.tar", (tmp_path / "large.tar").read_bytes())
    code = (
        "import re, sys; from pathlib import Path; from quintet_client.input.shards.listing import list_shards\n"
        "from quintet_client.input.source import Source\n"
        "from quintet_client.input.addresses import Address\n"
        "from quintet_client.input.stores.objects import stamps_of\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "(stamp,) = stamps_of([Address.of(sys.argv[1])]); before = peak()\n"
        "(listed,) = list_shards([Source('large.tar', sys.argv[1], stamp)]); print(len(listed.items), peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"{ADDRESS}/large.tar"],
        env=store.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    count, grown_kb = map(int, done.stdout.split())
    assert count == 64
    assert grown_kb < 48_000, "of 64 MiB, in pieces of 8"
    assert store.gets["shards/large.tar"] <= 10
