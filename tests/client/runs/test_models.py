"""One server, several models: each request goes to the one that was asked for, and their results are not mixed."""

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest
from quintet_client import AsyncQuintetClient, QuintetClient, UsageError
from quintet_client.cli import main

from tests.client.reading import answers, assert_adds_up, read, report, write_pages
from tests.client.scripted_server import ScriptedServer


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch):
    for name in ("QUINTET_SERVER", "QUINTET_MODEL", "QUINTET_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_every_request_goes_to_the_model_that_was_asked_for(folder, output, capsys, monkeypatch):
    write_pages(folder, 5)
    with ScriptedServer() as server:
        server.told = json.dumps([{"minWorkers": 1, "workers": [{"status": "READY"}]}]).encode()
        address = ("--server", server.url, "--management", server.url, "--model", "photos")
        assert main(["status", *address]) == 0
        assert f"ready: {server.url} (photos) read " in capsys.readouterr().out
        with QuintetClient(server.url, model="photos") as client:
            assert client.read(b"one").width_px == 1240
        asyncio.run(read_async(server.url, "photos"))
        assert read(folder, output, server.url, "--model", "photos") == 0
        monkeypatch.setenv("QUINTET_MODEL", "photos")
        assert read(folder, output, server.url, "--overwrite", "--pack", 1) == 0
        assert server.paths == {"/predictions/photos", "/models/photos", "/service"}
    assert report(output)["settings"]["model"] == "photos"


async def read_async(url, model):
    async with AsyncQuintetClient(url, model=model) as client:
        return await client.read(b"two")


def test_a_model_that_is_not_served_is_not_ready(echo, capsys):
    address = ("--server", echo.inference_url, "--token-file", str(echo.token_file))
    assert main(["status", *address, "--model", "nobody"]) == 4
    assert "nobody" in capsys.readouterr().out
    assert main(["status", *address]) == 0


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "a ledger that notes no model"])
def test_results_of_two_models_are_not_mixed_even_if_nothing_is_left_to_read(folder, output, caplog, noted):
    write_pages(folder, 4)
    with ScriptedServer() as server:
        assert read(folder, output, server.url, "--limit", 2) == 0
        if not noted:
            with closing(sqlite3.connect(output / "ledger.sqlite")) as ledger, ledger:
                ledger.execute("DELETE FROM facts WHERE name = 'served_model'")
        before, sent = answers(output), len(server.packs)
        for limit in (2, 4):
            assert read(folder, output, server.url, "--model", "photos", "--limit", limit) == 2
        assert "OUTPUT holds pages read with --model quintet, this run has --model photos" in caplog.text
        assert (answers(output), len(server.packs)) == (before, sent)
        assert read(folder, output, server.url) == 0
        assert read(folder, output, server.url, "--model", "photos", "--overwrite") == 0
        assert read(folder, output, server.url) == 2
    assert assert_adds_up(output)["inputs"] == 4


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../models", "%2e%2e", "a b", "quintet?x", "näme"])
def test_a_name_that_leads_elsewhere_is_refused(folder, output, name):
    with ScriptedServer() as server:
        assert read(folder, output, server.url, "--model", name) == 2
        assert main(["status", "--server", server.url, "--management", server.url, "--model", name]) == 2
        with pytest.raises(UsageError, match="a model is called"):
            QuintetClient(server.url, model=name)
        assert not server.paths
