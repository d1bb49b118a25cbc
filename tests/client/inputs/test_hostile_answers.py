"""A server that answers too much, compressed, or something else than a page: one page fails, in bounded memory."""

import gzip
import json
import time
import tracemalloc
from contextlib import contextmanager

import pytest
from quintet_client import PageError, QuintetClient
from quintet_client.service.page import USUAL_LIMITS
from quintet_client.service.tokens import tokens_of
from quintet_client.service.transport import MAX_ANSWER_BYTES, HttpTransport

from tests.client.reading import assert_adds_up, read, report, rows, write_pages
from tests.client.scripted_server import Reply, Request, ScriptedServer, page_answer

HOSTILE = b"hostile"


def answering_the_hostile_page(reply):
    """Script: one page has this answer, all others are read."""

    def script(request):
        return reply if request.body == HOSTILE else page_answer(request)

    return script


@pytest.fixture
def folder(tmp_path):
    write_pages(tmp_path / "in", 5)
    (tmp_path / "in" / "hostile.jpg").write_bytes(HOSTILE)
    return tmp_path / "in"


@contextmanager
def at_most_megabytes(most):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most << 20
    finally:
        tracemalloc.stop()


def page_of(size_bytes):
    """The answer to a page, with a text that makes it this long."""
    document = json.loads(page_answer(Request(HOSTILE, 1)).body)
    spare = size_bytes - len(json.dumps(document))
    return json.dumps(document | {"text": document["text"] + "x" * spare}).encode()


def test_an_answer_that_unpacks_to_a_thousand_times_its_bytes_is_not_unpacked(folder, tmp_path):
    bomb = Reply(200, gzip.compress(page_of(200 << 20), 1), (("Content-Encoding", "gzip"),))
    with ScriptedServer(answering_the_hostile_page(bomb)) as server, at_most_megabytes(40):
        assert read(folder, tmp_path / "out", server.url, "--pack", 1) == 3
    assert assert_adds_up(tmp_path / "out")["errors"] == {"BAD_ANSWER": 1}
    assert "compressed" in rows(tmp_path / "out")["hostile.jpg"]["message"]


def test_an_answer_that_comes_byte_by_byte_is_given_the_time_of_an_answer_and_no_more(folder, tmp_path):
    drip = Reply(200, page_of(1000), pause_s=0.1)
    with ScriptedServer(answering_the_hostile_page(drip)) as server:
        begin = time.monotonic()
        assert read(folder, tmp_path / "out", server.url, "--pack", 1, "--retries", 1, "--timeout-s", 1) == 3
    assert time.monotonic() - begin < 20
    assert assert_adds_up(tmp_path / "out")["errors"] == {"TIMEOUT": 1}


@pytest.mark.parametrize("pack", [1, 2])
def test_an_answer_longer_than_its_pages_may_have_fails_that_page_alone(folder, tmp_path, pack):
    longest, longer = page_of(MAX_ANSWER_BYTES), page_of(pack * MAX_ANSWER_BYTES + 1)
    with ScriptedServer(answering_the_hostile_page(Reply(200, longer))) as server:
        assert read(folder, tmp_path / "out", server.url, "--pack", pack) == 3
        assert assert_adds_up(tmp_path / "out")["errors"] == {"BAD_ANSWER": 1}
        server.script = answering_the_hostile_page(Reply(200, longest))
        assert read(folder, tmp_path / "out", server.url, "--pack", pack, "--retry-failed") == 0


@pytest.mark.parametrize("pack", [1, 16])
@pytest.mark.parametrize("spoilt", [{"width_px": float("nan")}, {"lines": {}}, {"schema": "what it likes"}], ids=str)
def test_an_answer_that_is_no_page_fails_that_page_alone(folder, tmp_path, spoilt, pack):
    answer = json.dumps(json.loads(page_answer(Request(HOSTILE, 1)).body) | spoilt).encode()
    with ScriptedServer(answering_the_hostile_page(Reply(200, answer))) as server:
        assert read(folder, tmp_path / "out", server.url, "--retries", 1, "--pack", pack) == 3
        with QuintetClient(server.url, retries=1) as client, pytest.raises(PageError, match="BAD_ANSWER"):
            client.read(HOSTILE)
    assert report(tmp_path / "out")["ok"] == 5


def test_a_connection_is_kept_for_the_next_page():
    with ScriptedServer() as server, QuintetClient(server.url) as client:
        for number in range(3):
            client.read(f"page {number}".encode())
        assert server.connections == 1


def test_limits_that_no_service_can_have_are_not_believed():
    with ScriptedServer() as server:
        server.limits = {"max_page_pixels": 10**30, "max_body_bytes": 1 << 20, "min_page_side_px": True}
        limits = HttpTransport(server.url, tokens_of(None), 5).ask_limits().limits
    assert limits == USUAL_LIMITS._replace(max_body_bytes=1 << 20)
