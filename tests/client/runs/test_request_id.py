"""One request id through the client's log, its ledger, the server's log and the answer."""

import json
import logging
import re

import pytest
import requests
from quintet.frame import frames

from tests.client.reading import assert_adds_up, read, rows, wait_until


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(b"good")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "poison.jpg").write_bytes(b"KILL the worker")
    return folder


def server_log(service):
    return "".join(path.read_text(errors="replace") for path in (service.run_dir / "logs").rglob("service*.log"))


@pytest.mark.parametrize("pack", [1, 16])
def test_every_page_read_or_failed_is_found_in_the_servers_log_by_the_id_in_the_ledger(
    echo, folder, tmp_path, caplog, pack
):
    (folder / "poison.jpg").write_bytes(b"RAISE in the models")
    caplog.set_level(logging.DEBUG, "quintet_client")
    options = ("--token-file", echo.token_file, "--pack", pack, "--retries", 1, "--verbose")
    assert read(folder, tmp_path / "out", echo.inference_url, *options) == 3
    assert assert_adds_up(tmp_path / "out")["failed"] == 2
    known = rows(tmp_path / "out")
    assert {page: row["code"] for page, row in known.items()} == {
        "empty.jpg": "EMPTY_BODY", "good.jpg": "", "poison.jpg": "INFERENCE_FAILED",
    }  # fmt: skip
    for page, row in known.items():
        assert re.fullmatch(r"[0-9a-f]{32}(\.\d+)?", row["request_id"]), page
        assert any(page in line and row["request_id"] in line for line in caplog.messages), page
        wait_until(lambda row=row: f"{row['request_id'].split('.')[0]}" in server_log(echo), 20)
    told = [json.loads(line) for line in (tmp_path / "out" / "failed.jsonl").read_text().splitlines()]
    assert {line["page_id"]: line["request_id"] for line in told} == {
        page: known[page]["request_id"] for page in ("empty.jpg", "poison.jpg")
    }


def test_a_page_that_kills_its_worker_keeps_the_id_it_was_sent_under(echo, folder, tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "quintet_client")
    options = ("--token-file", echo.token_file, "--pack", 1, "--retries", 1)
    assert read(folder, tmp_path / "out", echo.inference_url, *options) == 3
    row = rows(tmp_path / "out")["poison.jpg"]
    assert row["code"] == "WORKER_DIED"
    assert re.fullmatch("[0-9a-f]{32}", row["request_id"])
    assert any(row["request_id"] in line and "poison.jpg failed" in line for line in caplog.messages)


def test_without_verbose_only_failures_are_told_page_by_page(echo, folder, tmp_path, caplog):
    (folder / "poison.jpg").unlink()
    read(folder, tmp_path / "out", echo.inference_url, "--token-file", echo.token_file)
    assert any("empty.jpg failed" in line for line in caplog.messages)
    assert not any("good.jpg" in line for line in caplog.messages)


def send(service, body, request_id, content_type="image/png"):
    headers = {"Authorization": f"Bearer {service.token('inference')}", "Content-Type": content_type}
    url = f"{service.inference_url}/predictions/quintet"
    return requests.post(url, data=body, headers={**headers, "X-Request-Id": request_id}, timeout=60)


def test_an_id_of_ones_own_comes_back_and_stands_in_the_servers_log(echo):
    assert send(echo, b"x", "mine-17").json()["request_id"] == "mine-17"
    assert send(echo, b"", "mine-18").json()["error"]["request_id"] == "mine-18"
    packed = frames.unpack_answers(send(echo, frames.pack_pages([b"a", b""]), "mine-19", frames.MEDIA_TYPE).content)
    assert [json.loads(page.body).get("request_id") for page in packed] == ["mine-19.0", None]
    for mine in ("mine-17", "mine-18", "mine-19"):
        wait_until(lambda mine=mine: f"requests {mine}: " in server_log(echo), 20)


@pytest.mark.parametrize(
    "hostile", ["[METRICS]quintet_pages_total.count:9|#", "x, requests y: 1 ok", "é\t%n${jndi:x}", "z" * 4000]
)
def test_an_id_cannot_forge_a_line_of_the_servers_log(echo, hostile):
    assert send(echo, b"x", hostile.encode("latin-1")).status_code == 200
    send(echo, b"x", "the-next")
    wait_until(lambda: "requests the-next: " in server_log(echo), 20)
    assert hostile not in server_log(echo)
    assert max(map(len, server_log(echo).splitlines())) < 2000
