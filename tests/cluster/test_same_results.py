"""The service and Ray read the same pages with the same archive: equal results, byte by byte, and equal failures."""

import shutil
from itertools import islice

import pytest

from tests.client.reading import answers, read, rows
from tests.cluster.batching import Batch, ends
from tests.conftest import SHARED, draw_page, encode

pytestmark = pytest.mark.slow  # both load the five networks


def _fill(folder):
    """Drawn pages, such as fail, and real receipts where they are."""
    folder.mkdir()
    for number, turn_deg in enumerate((0, 90, 180, 270)):
        page = draw_page([f"Invoice {number}", "Total 12.50", "Thank you"], turn_deg=turn_deg)
        (folder / f"drawn{number}.png").write_bytes(encode(page))
    page = draw_page(["A page of three", "in one file"])
    page.save(folder / "three.tiff", save_all=True, append_images=[page.rotate(180), page.resize((600, 800))])
    (folder / "blank.jpg").write_bytes(encode(draw_page([]), "JPEG"))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "broken.png").write_bytes(encode(page)[:-500])
    (folder / "none.jpg").write_bytes(b"no image at all")
    (folder / "small.png").write_bytes(encode(page.resize((5, 5))))
    for receipt in islice(sorted((SHARED / "data" / "receipts").glob("*.jpg")), 12):
        shutil.copy(receipt, folder)


@pytest.mark.parametrize("options", [(), ("--leave-out", "layout,words")], ids=["all stages", "some left out"])
def test_the_service_and_ray_give_equal_results(service, model_store, tmp_path, options):
    _fill(tmp_path / "in")
    where = (service.inference_url, "--token-file", service.token_file)
    assert read(tmp_path / "in", tmp_path / "read", *where, *options) == 3
    archive = model_store / "quintet.mar"
    assert Batch(tmp_path / "in", tmp_path / "batch", archive, "--actors", 2, *options).wait(600) == 3
    served, batched = rows(tmp_path / "read"), ends(tmp_path / "batch")
    assert served.keys() == batched.keys()
    told = ("state", "code", "message", "tries", "size_bytes", "mtime_ns", "output_bytes")
    for page_id, row in served.items():
        assert {name: row[name] for name in told} == {name: batched[page_id][name] for name in told}, page_id
    assert answers(tmp_path / "read") == {
        page_id: row["document"] for page_id, row in batched.items() if row["state"] == "ok"
    }
